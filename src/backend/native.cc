#include "backend/native.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "backend/kv_budget.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/system_limits.h"
#include "device/device.h"
#include "engine/engine.h"
#include "model/decoder.h"

namespace openllm::backend {
namespace {

/// Steps of the engine as forward passes of a decoder.
class NativeRunner final : public engine::StepRunner {
 public:
  NativeRunner(device::Device& device, model::Decoder& decoder, int max_output_rows)
      : device_(device),
        decoder_(decoder),
        logits_(std::make_unique_for_overwrite<float[]>(
            static_cast<std::size_t>(max_output_rows) *
            static_cast<std::size_t>(decoder.spec().vocab_size))) {}

  int vocab_size() const noexcept override { return decoder_.spec().vocab_size; }

  const float* run(const engine::StepPlan& plan) override {
    sequences_.clear();
    for (const engine::PlanSequence& s : plan.sequences) {
      sequences_.push_back({s.first_row, s.n_rows, s.past_len, s.adapter, s.rope_len});
    }
    tables_.clear();
    for (const engine::PlanBlockTable& table : plan.block_tables)
      tables_.push_back({table.ids, table.begin});
    device::Batch batch;
    batch.token_ids = plan.token_ids;
    batch.positions = plan.positions;
    batch.sequences = sequences_;
    batch.block_tables = tables_;
    batch.output_rows = plan.output_rows;
    decoder_.forward(batch, logits_.get());
    return logits_.get();
  }
  int n_threads() const noexcept override { return device_.n_host_threads(); }
  void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    device_.run_on_host(n, body);
  }

 private:
  device::Device& device_;
  model::Decoder& decoder_;
  std::unique_ptr<float[]> logits_;  // touched only as far as steps need it
  std::vector<device::BatchSequence> sequences_;
  std::vector<device::BlockTable> tables_;
};

class NativeBackend final : public Backend {
 public:
  NativeBackend(std::unique_ptr<device::Device> device, std::unique_ptr<model::Decoder> decoder,
                const engine::EngineOptions& options)
      : device_(std::move(device)),
        decoder_(std::move(decoder)),
        runner_(*device_, *decoder_, options.max_output_rows),
        max_model_len_(options.max_model_len),
        engine_(runner_, options, clock_) {}

  Capabilities capabilities() const noexcept override {
    return {.logprobs = true, .prompt_logprobs = true, .prompt_logits = true, .seed = true};
  }
  int vocab_size() const noexcept override { return runner_.vocab_size(); }
  int max_model_len() const noexcept override { return max_model_len_; }
  std::string device() const override { return device_->name(); }
  std::string isa() const override { return device_->isa(); }
  void submit(engine::Request request) override { engine_.submit(std::move(request)); }
  void cancel(const std::string& id) override { engine_.cancel(id); }
  void stop_choice(const std::string& id, int choice) override { engine_.stop_choice(id, choice); }
  EngineStats stats() const override { return engine_.stats(); }
  void shut_down(const base::Failure& failure) override { engine_.shut_down(failure); }

 private:
  base::SteadyClock clock_;
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<model::Decoder> decoder_;
  NativeRunner runner_;
  int max_model_len_;
  engine::Engine engine_;  // last: its thread uses everything above
};

bool any_weight_is_quantised(const format::Checkpoint& checkpoint) {
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                     [](const format::NamedTensor& tensor) {
                       return tensor::info(tensor.view.dtype).block_elems > 1;
                     });
}

void require_range(const char* name, int value, int low, int high) {
  if (value < low || value > high) {
    base::fail(ErrorCode::kInvalidArgument, name, ": out of range (expected ", low, " to ", high,
               ", got ", value, ")");
  }
}

constexpr int kMaxOutputRows = 64;

std::unique_ptr<Backend> load(const format::Checkpoint& checkpoint, const LoadOptions& options) {
  require_range("max_step_tokens", options.max_step_tokens, 1, 1 << 16);
  require_range("max_sequences", options.max_sequences, 1, 4096);
  require_range("max_queue", options.max_queue, 1, 1 << 24);
  require_range("kv_block_size", options.kv_block_size, 1, 1024);
  require_range("n_threads", options.n_threads, 0, 1024);
  if (options.kv_cache_bytes < 0) {
    base::fail(ErrorCode::kInvalidArgument, "kv_cache_bytes: out of range (expected >= 0, got ",
               options.kv_cache_bytes, ")");
  }

  auto device = device::make_device(options.device, {.n_threads = options.n_threads,
                                                     .fast_activations = options.fast_activations});
  model::DecoderOptions decoder_options;
  decoder_options.max_rows = options.max_step_tokens;
  decoder_options.max_output_rows = std::max(kMaxOutputRows, options.max_sequences);
  decoder_options.kv_f16 =
      choose_kv_f16(options.kv_dtype, device->name(), any_weight_is_quantised(checkpoint));
  decoder_options.kv_block_size = options.kv_block_size;
  if (options.progress) {
    decoder_options.progress = [&options](double fraction) {
      options.progress("loading weights", fraction);
    };
  }
  auto decoder = model::Decoder::load(checkpoint, *device, decoder_options);

  const int wanted_len = resolve_max_model_len(options, decoder->spec().max_positions);
  const KvBudget budget =
      plan_kv_budget(decoder->kv_groups(), options, wanted_len, base::available_memory());
  decoder->allocate_kv(budget.blocks_per_group);

  engine::EngineOptions engine_options;
  engine_options.max_step_tokens = options.max_step_tokens;
  engine_options.max_sequences = std::min(options.max_sequences, options.max_step_tokens);
  engine_options.max_output_rows = decoder_options.max_output_rows;
  engine_options.max_queue = options.max_queue;
  engine_options.max_model_len = budget.max_model_len;
  engine_options.block_size = options.kv_block_size;
  engine_options.prefix_caching = options.prefix_caching;
  engine_options.rope_depends_on_length = decoder->spec().rope_depends_on_length();
  engine_options.kv_groups = decoder->kv_groups();
  engine_options.blocks_per_group = budget.blocks_per_group;
  return std::make_unique<NativeBackend>(std::move(device), std::move(decoder),
                                         std::move(engine_options));
}

/// Reads the configuration as `load` would. Throws what makes the model impossible here.
ModelFacts describe(const format::ModelSource& source, const LoadOptions& options) {
  if (source.layout == format::Layout::kHuggingFace) {
    if (source.config.find("model_type") == nullptr && !source.architecture.empty()) {
      base::fail(ErrorCode::kUnsupported, source.path,
                 "/config.json: has no model_type, and the architecture ", source.architecture,
                 " is not known by its name");
    }
    // Before the weights are looked for: an unknown architecture is the better reason.
    (void)model::read_spec(*source.without_tensors());
  }
  const model::DecoderSpec spec = model::read_spec(*source.open_weights());
  return {spec.architecture, spec.n_layers, spec.vocab_size,
          resolve_max_model_len(options, spec.max_positions)};
}

std::optional<Refusal> supports(const format::ModelSource& source, const LoadOptions& options) {
  try {
    (void)describe(source, options);
    return std::nullopt;
  } catch (const Error& error) {
    return Refusal{error.code(), error.what()};
  }
}

std::unique_ptr<Backend> load_source(const format::ModelSource& source,
                                     const LoadOptions& options) {
  try {
    return load(*source.open_weights(), options);
  } catch (const std::bad_alloc&) {
    base::fail(ErrorCode::kResourceExhausted, source.path,
               ": not enough memory for the model, its KV cache and its logits");
  }
}

}  // namespace

BackendEntry native_backend() {
  return {"native", true, "the engine of this library", supports, describe, load_source};
}

}  // namespace openllm::backend

#include "backend/pt/pt.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "backend/adapter_book.h"
#include "backend/check_options.h"
#include "backend/kv_budget.h"
#include "backend/pt/adapters.h"
#include "backend/pt/python.h"
#include "backend/pt/runner.h"
#include "backend/pt/script.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "model/model.h"

namespace openllm::backend {
namespace {

/// Of models that do not say how long their sequences may be.
constexpr int kDefaultModelLen = 2048;
constexpr int kMaxModelLen = 1 << 20;
constexpr std::chrono::seconds kStartupTimeout{600};
constexpr int kMaxOutputRows = 64;

/// The engine, the sampler and what stands above are the same as the native backend's.
Capabilities pt_capabilities() {
  return {.prompt_logits = true, .adapters = true, .all_fields = true};
}

class PtBackend final : public Backend {
 public:
  PtBackend(std::unique_ptr<pt::Runner> runner, const engine::EngineOptions& options,
            std::size_t max_adapters)
      : runner_(std::move(runner)),
        max_model_len_(options.max_model_len),
        adapter_host_(*runner_),
        adapters_(adapter_host_, max_adapters),
        engine_(*runner_, options, clock_) {}
  ~PtBackend() override { runner_->ask_to_stop(); }  // what it computes is nobody's any more

  Capabilities capabilities() const noexcept override { return pt_capabilities(); }
  int vocab_size() const noexcept override { return runner_->vocab_size(); }
  int max_model_len() const noexcept override { return max_model_len_; }
  std::string device() const override { return runner_->model().device; }
  std::string isa() const override {
    return base::cat(runner_->model().versions, ", ", runner_->model().dtype, ", ",
                     runner_->model().way);
  }
  int n_slots() const override { return static_cast<int>(engine_.stats().max_running); }
  void submit(engine::Request request) override { engine_.submit(std::move(request)); }
  void cancel(const std::string& id) override { engine_.cancel(id); }
  void stop_choice(const std::string& id, int choice) override { engine_.stop_choice(id, choice); }
  EngineStats stats() const override { return engine_.stats(); }
  bool reads_adapters() const noexcept override { return true; }
  void mount_adapter(const AdapterOptions& adapter) override { adapters_.mount(adapter); }
  void unmount_adapter(const std::string& name) override { adapters_.unmount(name); }
  std::vector<AdapterOptions> adapters() const override { return adapters_.list(); }
  AdapterUse find_adapter(const std::string& name) override {
    AdapterUse use = adapters_.find(name);
    runner_->require_sum(use.number);
    return use;
  }
  void shut_down(const base::Failure& failure) override {
    runner_->ask_to_stop();
    engine_.shut_down(failure);
  }

 private:
  base::SteadyClock clock_;
  std::unique_ptr<pt::Runner> runner_;
  int max_model_len_;
  pt::Adapters adapter_host_;
  AdapterBook adapters_;
  engine::Engine engine_;  // last: its thread uses everything above
};

void require_unset(const char* option, bool is_unset, const char* why) {
  if (is_unset) return;
  base::fail_with(ErrorCode::kUnsupported, {option, ErrorReason::kUnsupportedField}, option,
                  ": unsupported by the backend pt (", why, ")");
}

void check_pt_options(const format::ModelSource& source, const LoadOptions& options) {
  const LoadOptions nothing;
  check_options(options);
  require_unset("quantize", options.quantize.empty(), "native and vllm quantise while loading");
  const std::string& device = options.pt.device;
  require_unset("pt.device", !device.starts_with("mps"),
                "mps is Apple's, where openllm does not run; expected cpu or cuda");
  const std::string_view number =
      std::string_view(device).substr(std::min<std::size_t>(5, device.size()));
  const bool is_cuda =
      device == "cuda" || (device.starts_with("cuda:") && !number.empty() && number.size() <= 3 &&
                           number.find_first_not_of("0123456789") == std::string_view::npos);
  if (!device.empty() && device != "cpu" && !is_cuda) {
    base::fail_at(ErrorCode::kInvalidArgument, "pt.device",
                  "no such device (expected cpu, cuda or cuda:N; got ", device, ")");
  }
  require_unset("device", options.device.empty() || options.device == "cpu",
                "it names devices of the native backend; pt.device names PyTorch's");
  require_unset(
      "max_draft_tokens",
      options.max_draft_tokens == nothing.max_draft_tokens || options.max_draft_tokens == 0,
      "it keeps what it computed, wrong guesses too");
  require_unset("draft_model", options.draft_model.empty(), "the native backend guesses ahead");
  require_unset("fast_activations", !options.fast_activations, "PyTorch rounds as it does");
  require_unset("kv_cache_bytes", options.kv_cache_bytes == 0,
                "PyTorch takes memory as sequences grow; max_model_len and max_sequences bound it");
  require_unset("kv_dtype", options.kv_dtype == nothing.kv_dtype,
                "keys and values have the type of the model, see dtype");
  require_unset("kv_block_size", options.kv_block_size == nothing.kv_block_size,
                "keys and values are not kept in blocks");
  if (parse_dtype(options.dtype) && !source.quantisation.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "dtype", "the weights of ", source.path,
                  " are quantised (expected auto, got ", options.dtype, ")");
  }
}

/// By the names of architectures: networks that continue texts.
bool continues_texts(const base::Json& config) {
  const base::Json* names = config.find("architectures");
  if (names == nullptr || !names->is_array() || names->if_array()->empty()) return true;
  for (const base::Json& name : *names->if_array()) {
    if (!name.is_string()) continue;
    for (const char* end : {"ForCausalLM", "LMHeadModel", "ForConditionalGeneration"})
      if (name.if_string()->ends_with(end)) return true;
  }
  const base::Json* own = config.find("auto_map");  // code that comes with the model
  return own != nullptr && own->find("AutoModelForCausalLM") != nullptr;
}

void require_model(const format::ModelSource& source) {
  if (source.layout != format::Layout::kHuggingFace) {
    base::fail(ErrorCode::kUnsupported, source.path,
               ": is a GGUF file (the backend pt runs folders of Hugging Face transformers)");
  }
  const base::Json* flag = source.config.find("is_encoder_decoder");
  const bool has_encoder = flag != nullptr && flag->is_bool() && *flag->if_bool();
  if (has_encoder || source.architecture == "t5") {
    base::fail(ErrorCode::kUnsupported, source.path, ": ", source.architecture,
               " is an encoder-decoder model, which the backend pt cannot run yet");
  }
  if (!continues_texts(source.config)) {
    base::fail(ErrorCode::kUnsupported, source.path, ": ", source.architecture,
               " continues no texts (expected an architecture that ends in ForCausalLM)");
  }
  if (!source.has_weights()) base::fail(ErrorCode::kNotFound, source.path, ": has no weights");
  using format::WeightFormat;
  if (source.weights == WeightFormat::kFlax || source.weights == WeightFormat::kTensorflow) {
    base::fail(ErrorCode::kUnsupported, source.path, ": weights of ",
               format::to_string(source.weights), ", which transformers 5 does not read");
  }
}

/// As the native backend has it, where that knows the family: scaled RoPE reaches further than the
/// number in the files. 0: they do not say.
int longest_sequence(const format::ModelSource& source) {
  try {
    return model::read_spec(*source.without_tensors()).max_positions;
  } catch (const Error&) {
    return source.outline().max_positions;
  }
}

int model_len(const format::ModelSource& source, const LoadOptions& options) {
  const int limit = longest_sequence(source);
  if (limit > 0) return resolve_max_model_len(options, limit);
  const int wanted = resolve_max_model_len(options, kMaxModelLen);
  return options.max_model_len == 0 ? kDefaultModelLen : wanted;
}

ModelFacts describe(const format::ModelSource& source, const LoadOptions& options) {
  check_pt_options(source, options);
  require_model(source);
  const auto search = pt::PythonSearch::of_environment();
  const std::string python = pt::find_python(options.pt, search);
  pt::require_packages(python, search);
  if (!options.adapters.empty()) pt::require_peft(python, search);
  const format::ModelOutline outline = source.outline();
  return {source.architecture, outline.n_layers, outline.vocab_size, model_len(source, options)};
}

std::optional<Refusal> supports(const format::ModelSource& source, const LoadOptions& options) {
  try {
    (void)describe(source, options);
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

std::string lacks() {
  try {
    const auto search = pt::PythonSearch::of_environment();
    pt::require_packages(pt::find_python({}, search), search);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

const char* dtype_name(const std::string& dtype) {
  const auto type = parse_dtype(dtype);
  if (!type) return "auto";
  return *type == tensor::DType::kF32   ? "float32"
         : *type == tensor::DType::kF16 ? "float16"
                                        : "bfloat16";
}

base::Json load_order(const format::ModelSource& source, const LoadOptions& options) {
  base::Json order;
  order["op"] = "load";
  order["path"] = source.path;
  order["dtype"] = dtype_name(options.dtype);
  order["device"] = options.pt.device.empty() ? options.device : options.pt.device;
  order["threads"] = options.n_threads;
  order["trust_remote_code"] = options.trust_remote_code.value_or(false);
  order["use_safetensors"] = source.weights == format::WeightFormat::kSafetensors;
  return order;
}

/// Nothing is kept in blocks here: there are enough of them for all sequences that can run at once,
/// and the engine's reserve for newcomers.
void set_blocks(engine::EngineOptions& engine) {
  constexpr int kMaxBlocksOfSequence = 64;
  engine.block_size = std::max(256, engine.max_model_len / kMaxBlocksOfSequence + 1);
  const int of_sequence = engine.max_model_len / engine.block_size + 1;
  engine.kv_groups.resize(1);
  engine.blocks_per_group = {2 * engine.max_sequences * of_sequence};
}

std::unique_ptr<Backend> load(const format::ModelSource& source, const LoadOptions& options) {
  engine::EngineOptions engine;
  engine.max_model_len = describe(source, options).max_model_len;
  engine.max_step_tokens = options.max_step_tokens;
  engine.max_sequences = std::min(options.max_sequences, options.max_step_tokens);
  engine.max_output_rows = std::max(kMaxOutputRows, options.max_sequences);
  engine.max_queue = options.max_queue;
  engine.prefix_caching = false;
  set_blocks(engine);
  if (options.progress) options.progress("loading weights", 0.0);
  auto runner = std::make_unique<pt::Runner>(
      pt::WorkerStart{.python = pt::find_python(options.pt, pt::PythonSearch::of_environment()),
                      .script = std::string(pt::worker_script()),
                      .load = load_order(source, options),
                      .timeout = options.pt.startup_timeout.value_or(kStartupTimeout),
                      .max_output_rows = engine.max_output_rows,
                      .n_host_threads = options.n_threads});
  return std::make_unique<PtBackend>(std::move(runner), engine,
                                     static_cast<std::size_t>(options.max_adapters));
}

}  // namespace

BackendEntry pt_backend() {
  return {.name = "pt",
          .available = true,
          .reason = "PyTorch with Hugging Face transformers, in a Python process",
          .supports = supports,
          .describe = describe,
          .load = load,
          .capabilities = pt_capabilities(),
          .lacks = lacks};
}

}  // namespace openllm::backend

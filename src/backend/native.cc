#include "backend/native.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "backend/adapter_book.h"
#include "backend/check_options.h"
#include "backend/kv_budget.h"
#include "backend/native_adapters.h"
#include "backend/native_draft.h"
#include "backend/native_options.h"
#include "backend/native_runner.h"
#include "backend/packed_copies.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/system_limits.h"
#include "device/device.h"
#include "device/packed_weights.h"
#include "engine/engine.h"
#include "model/model.h"

namespace openllm::backend {
namespace {

/// The engine and the sampler are made for the table of fields.
Capabilities native_capabilities() {
  return {.prompt_logits = true, .adapters = true, .all_fields = true};
}

class NativeBackend final : public Backend {
 public:
  NativeBackend(std::unique_ptr<PackedCopies> packed, std::unique_ptr<device::Device> device,
                std::unique_ptr<model::Model> model, std::unique_ptr<NativeDraft> draft,
                device::KvType kv_type, const engine::EngineOptions& options,
                std::size_t max_adapters)
      : packed_(std::move(packed)),
        device_(std::move(device)),
        model_(std::move(model)),
        draft_(std::move(draft)),
        runner_(*device_, *model_),
        kv_type_(kv_type),
        max_model_len_(options.max_model_len),
        source_{options.max_source_len, model_->spec().decoder_start},
        adapter_host_(*model_),
        adapters_(adapter_host_, max_adapters),
        engine_(runner_, options, clock_) {
    for (PackedCopies* copies : all_copies()) {
      copies->start_writing([this] {
        const EngineStats stats = engine_.stats();
        return stats.n_running == 0 && stats.n_waiting == 0;
      });
    }
  }
  ~NativeBackend() override {
    for (PackedCopies* copies : all_copies()) copies->stop();
  }

  Capabilities capabilities() const noexcept override { return native_capabilities(); }
  int vocab_size() const noexcept override { return runner_.vocab_size(); }
  int max_model_len() const noexcept override { return max_model_len_; }
  SourceFacts source() const noexcept override { return source_; }
  std::string device() const override { return device_->name(); }
  std::string isa() const override { return device_->isa(); }
  std::string kv_dtype() const override { return to_string(kv_type_); }
  HiddenStates hidden_states() const noexcept override {
    const model::ModelSpec& spec = model_->spec();
    if (spec.encoder) return {};
    return {spec.dim, !spec.head, !spec.sees_all(), spec.pooled_head ? &*spec.pooled_head : nullptr,
            model_->pooled_head()};
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
  AdapterUse find_adapter(const std::string& name) override { return adapters_.find(name); }
  std::string packed_copy() const override {
    if (draft_ == nullptr) return packed_->state();
    return base::cat(packed_->state(), "; of the draft model: ", draft_->packed().state());
  }
  bool is_writing_packed_copy() const override {
    return packed_->is_writing() || (draft_ != nullptr && draft_->packed().is_writing());
  }
  void finish_packed_copy(const std::function<bool()>& stops) override {
    for (PackedCopies* copies : all_copies()) copies->finish(stops);
  }
  void shut_down(const base::Failure& failure) override { engine_.shut_down(failure); }

 private:
  std::vector<PackedCopies*> all_copies() {
    if (draft_ == nullptr) return {packed_.get()};
    return {packed_.get(), &draft_->packed()};
  }

  base::SteadyClock clock_;
  std::unique_ptr<PackedCopies> packed_;  // has the bytes of weights
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<NativeDraft> draft_;  // null: there is none
  NativeRunner runner_;
  device::KvType kv_type_;
  int max_model_len_;
  SourceFacts source_;
  NativeAdapters adapter_host_;
  AdapterBook adapters_;
  engine::Engine engine_;  // last: its thread uses everything above
};

/// Quantised weights stay as they are: what was lost does not come back.
void require_convertible(const format::Checkpoint& checkpoint, const format::ModelSource& source,
                         const std::string& dtype) {
  if (!parse_dtype(dtype)) return;
  if (!any_weight_is_quantised(checkpoint) && source.quantisation.empty()) return;
  base::fail_at(ErrorCode::kInvalidArgument, "dtype", "the weights of ", source.path,
                " are quantised (expected auto, got ", dtype, ")");
}

std::unique_ptr<Backend> load(const format::Checkpoint& checkpoint, const LoadOptions& options) {
  check_options(options);
  check_draft(checkpoint, options);
  auto packed = std::make_unique<PackedCopies>(checkpoint, options, packed::read_settings());
  auto device = device::make_device(options.device, {.n_threads = options.n_threads,
                                                     .fast_activations = options.fast_activations});
  device::use_packed_weights(*device, *packed);
  model::ModelOptions model_options = options_of_model(checkpoint, options, *device);
  if (options.progress) {
    model_options.progress = [&options](double fraction) {
      options.progress("loading weights", fraction);
    };
  }
  auto model = model::Model::load(checkpoint, *device, model_options);

  std::unique_ptr<NativeDraft> draft;
  if (!options.draft_model.empty()) {
    draft = std::make_unique<NativeDraft>(options, *device);
    device::use_packed_weights(*device, *packed);  // for what adapters bring
  }

  const int longest = wanted_len(model->spec(), options);
  const std::int64_t available = base::available_memory();
  const KvBudget budget = model->kv_groups().empty()
                              ? KvBudget{{}, longest}
                              : plan_kv_budget(model->kv_groups(), options, longest, available);
  model->allocate_kv(budget.blocks_per_group);

  engine::EngineOptions engine_options;
  engine_options.max_step_tokens =
      model->spec().encoder ? options.max_step_tokens : model_options.max_rows;
  engine_options.max_sequences = model_options.max_sequences;
  engine_options.max_output_rows = model_options.max_output_rows;
  engine_options.max_queue = options.max_queue;
  engine_options.max_model_len = budget.max_model_len;
  if (model->spec().encoder) engine_options.max_source_len = budget.max_model_len;
  engine_options.block_size = options.kv_block_size;
  engine_options.whole_sequences = model->spec().sees_all();
  engine_options.prefix_caching = options.prefix_caching && !engine_options.whole_sequences;
  engine_options.max_draft_tokens = options.max_draft_tokens;
  engine_options.rope_depends_on_length = model->spec().rope_depends_on_length();
  engine_options.kv_groups = model->kv_groups();
  engine_options.blocks_per_group = budget.blocks_per_group;
  if (draft != nullptr) {
    engine_options.draft_model =
        draft->make_room(budget.blocks_per_group, budget.max_model_len,
                         available - kv_bytes_of(model->kv_groups(), budget));
  }
  return std::make_unique<NativeBackend>(std::move(packed), std::move(device), std::move(model),
                                         std::move(draft), model_options.kv_type, engine_options,
                                         static_cast<std::size_t>(options.max_adapters));
}

/// Reads the configuration as `load` would. Throws what makes the model impossible here.
ModelFacts describe(const format::ModelSource& source, const LoadOptions& options) {
  check_options(options);  // told first, whatever the files lack
  if (source.layout == format::Layout::kHuggingFace) {
    if (source.config.find("model_type") == nullptr && !source.architecture.empty()) {
      base::fail(ErrorCode::kUnsupported, source.path,
                 "/config.json: has no model_type, and the architecture ", source.architecture,
                 " is not known by its name");
    }
    // Before the weights are looked for: an unknown architecture is the better reason.
    (void)model::read_spec(*source.without_tensors());
  }
  const auto checkpoint = source.open_weights();
  if (source.layout != format::Layout::kHuggingFace && checkpoint->tensors().empty()) {
    base::fail_at(ErrorCode::kNotFound, source.path,
                  "has no tensors (expected weights, got a file of the vocabulary alone)");
  }
  require_convertible(*checkpoint, source, options.dtype);
  const model::ModelSpec spec = model::read_spec(*checkpoint);
  check_draft(*checkpoint, options);
  ModelFacts facts{spec.architecture, spec.n_layers(), spec.vocab_size, wanted_len(spec, options)};
  facts.is_encoder_decoder = spec.encoder.has_value();
  facts.left_out = model::left_out_parts(*checkpoint);
  facts.embedding_size = facts.is_encoder_decoder ? 0 : spec.dim;
  if (!spec.head) facts.task = ModelTask::kEmbed;
  if (spec.pooled_head) {
    facts.task = ModelTask::kClassify;
    facts.embedding_size = 0;
    facts.n_labels = spec.pooled_head->n_labels;
  }
  return facts;
}

std::optional<Refusal> supports(const format::ModelSource& source, const LoadOptions& options) {
  try {
    if (options.trust_remote_code.value_or(false)) {
      base::fail_at(ErrorCode::kUnsupported, "trust_remote_code",
                    "this backend runs no code that comes with a model (expected false)");
    }
    (void)describe(source, options);
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

std::unique_ptr<Backend> load_source(const format::ModelSource& source,
                                     const LoadOptions& options) {
  try {
    return load(*source.open_weights(), options);
  } catch (const std::bad_alloc&) {
    base::fail_at(ErrorCode::kResourceExhausted, source.path,
                  "not enough memory for the model, its KV cache and its logits");
  }
}

}  // namespace

Footprint native_footprint(const format::ModelSource& source, const LoadOptions& options) {
  check_options(options);
  (void)describe(source, options);
  const auto checkpoint = source.open_weights();
  const auto device = device::make_device("cpu", {.n_threads = 1, .sizes_only = true});
  const auto model =
      model::Model::load(*checkpoint, *device, options_of_model(*checkpoint, options, *device));
  const model::ModelSpec& spec = model->spec();
  Footprint footprint;
  footprint.memory_bytes =
      static_cast<std::int64_t>(model->memory_bytes()) + draft_memory_bytes(options);
  footprint.step_bytes = static_cast<std::int64_t>(model->weight_bytes());
  footprint.n_parameters = model->n_parameters();
  footprint.n_idle_parameters = model->n_idle_parameters();
  const int n_tables = spec.head && spec.head->tied ? 1 : 2;  // embedding and output
  footprint.n_table_parameters = std::int64_t{spec.vocab_size} * spec.dim * n_tables;
  footprint.n_layers = spec.n_layers();
  footprint.vocab_size = spec.vocab_size;
  footprint.max_model_len = wanted_len(spec, options);
  // Less than a byte and a half each: no plain type is that small.
  footprint.is_quantised =
      footprint.step_bytes * 2 < (footprint.n_parameters - footprint.n_idle_parameters) * 3;
  footprint.kv_groups = model->kv_groups();
  return footprint;
}

BackendEntry native_backend() {
  return {"native", true,        "the engine of this library", supports,
          describe, load_source, native_capabilities()};
}

}  // namespace openllm::backend

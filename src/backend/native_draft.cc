#include "backend/native_draft.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "backend/kv_budget.h"
#include "backend/native_options.h"
#include "base/blame.h"
#include "base/error.h"
#include "device/packed_weights.h"

namespace openllm::backend {
namespace {

constexpr const char* kWhere = "draft_model";

/// What goes wrong with a draft model is about the option that names it.
template <typename Work>
auto blame_draft(const Work& work) {
  try {
    return base::blame(kWhere, work);
  } catch (const std::bad_alloc&) {
    base::fail_at(ErrorCode::kResourceExhausted, kWhere,
                  "not enough memory for its weights, its KV cache and its logits");
  }
}

[[noreturn]] void refuse(const char* why) {
  base::fail_with(ErrorCode::kUnsupported, {kWhere, ErrorReason::kUnsupportedField}, kWhere,
                  ": unsupported (", why, ")");
}

bool is_for_text(const model::ModelSpec& spec) {
  return spec.head && !spec.pooled_head && !spec.sees_all();
}

std::unique_ptr<format::Checkpoint> open_draft(const LoadOptions& options) {
  return format::open_model(options.draft_model).open_weights();
}

/// A model that is alone: what the options say of length, memory and types of the other one is not
/// about it. Its weights are rounded and quantised as those, but for what is quantised already.
LoadOptions options_of_draft(const format::Checkpoint& draft, const LoadOptions& options) {
  LoadOptions own = options;
  own.max_model_len = 0;
  own.draft_model.clear();
  if (any_weight_is_quantised(draft)) own.dtype.clear();
  return own;
}

/// Whether a wrong guess can be taken back: its keys and values are written over.
bool has_states(const format::Checkpoint& checkpoint, const LoadOptions& options) {
  const auto device = device::make_device("cpu", {.n_threads = 1, .sizes_only = true});
  const auto model =
      model::Model::load(checkpoint, *device, options_of_model(checkpoint, options, *device));
  const auto& groups = model->kv_groups();
  return std::any_of(groups.begin(), groups.end(), [](const kv::KvGroupSpec& group) {
    return group.kind != kv::KvKind::kFull && group.kind != kv::KvKind::kWindow;
  });
}

}  // namespace

NativeDraft::NativeDraft(const LoadOptions& options, device::Device& device) {
  blame_draft([&] {
    const auto checkpoint = open_draft(options);
    options_ = options_of_draft(*checkpoint, options);
    packed_ = std::make_unique<PackedCopies>(*checkpoint, options_, packed::read_settings());
    device::use_packed_weights(device, *packed_);
    model_options_ = options_of_model(*checkpoint, options_, device);
    if (options_.progress) {
      model_options_.progress = [this](double fraction) {
        options_.progress("loading the draft model's weights", fraction);
      };
    }
    model_ = model::Model::load(*checkpoint, device, model_options_);
    runner_ = std::make_unique<NativeRunner>(device, *model_);
  });
}

engine::DraftModelOptions NativeDraft::make_room(const std::vector<int>& blocks, int max_model_len,
                                                 std::int64_t left_bytes) {
  return blame_draft([&] {
    const model::ModelSpec& spec = model_->spec();
    const int longest =
        spec.takes_any_length ? max_model_len : std::min(max_model_len, spec.max_positions);
    const KvBudget budget =
        plan_draft_kv_budget(model_->kv_groups(), options_, longest, blocks, left_bytes);
    model_->allocate_kv(budget.blocks_per_group);
    return engine::DraftModelOptions{.runner = runner_.get(),
                                     .max_step_tokens = model_options_.max_rows,
                                     .max_sequences = model_options_.max_sequences,
                                     .max_output_rows = model_options_.max_output_rows,
                                     .max_model_len = budget.max_model_len,
                                     .kv_groups = model_->kv_groups(),
                                     .blocks_per_group = budget.blocks_per_group};
  });
}

std::int64_t draft_memory_bytes(const LoadOptions& options) {
  if (options.draft_model.empty()) return 0;
  return blame_draft([&] {
    const auto draft = open_draft(options);
    const auto device = device::make_device("cpu", {.n_threads = 1, .sizes_only = true});
    const LoadOptions own = options_of_draft(*draft, options);
    const auto model = model::Model::load(*draft, *device, options_of_model(*draft, own, *device));
    return static_cast<std::int64_t>(model->memory_bytes());
  });
}

void check_draft(const format::Checkpoint& target, const LoadOptions& options) {
  if (options.draft_model.empty()) return;
  const model::ModelSpec spec = model::read_spec(target);
  if (spec.encoder) refuse("the model has an encoder; drafts are for decoders");
  if (!is_for_text(spec)) refuse("the model continues no text");
  if (has_states(target, options))
    refuse("the model has recurrent states, which cannot take back a wrong guess");
  blame_draft([&] {
    const auto draft = open_draft(options);
    const model::ModelSpec own = model::read_spec(*draft);
    if (own.encoder) refuse("it has an encoder; expected a decoder");
    if (!is_for_text(own)) refuse("it continues no text; expected a model that generates");
    if (has_states(*draft, options_of_draft(*draft, options)))
      refuse("it has recurrent states, which cannot take back a wrong guess");
  });
}

}  // namespace openllm::backend

#include "backend/native_options.h"

#include <algorithm>
#include <string>

#include "backend/check_options.h"
#include "backend/kv_budget.h"

namespace openllm::backend {
namespace {

constexpr int kMaxOutputRows = 64;

/// Rows that see the whole sequence need all of it in one step, as those of a source do.
int step_tokens(const model::ModelSpec& spec, const LoadOptions& options) {
  if (!spec.sees_all() && !spec.encoder) return options.max_step_tokens;
  return std::max(options.max_step_tokens, wanted_len(spec, options));
}

}  // namespace

bool any_weight_is_quantised(const format::Checkpoint& checkpoint) {
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                     [](const format::NamedTensor& tensor) {
                       return tensor::info(tensor.view.dtype).block_elems > 1;
                     });
}

int wanted_len(const model::ModelSpec& spec, const LoadOptions& options) {
  const int limit = spec.takes_any_length ? std::max(spec.max_positions, options.max_model_len)
                                          : spec.max_positions;
  return resolve_max_model_len(options, limit);
}

model::ModelOptions options_of_model(const format::Checkpoint& checkpoint,
                                     const LoadOptions& options, const device::Device& device) {
  model::ModelOptions model_options;
  model_options.max_rows = step_tokens(model::read_spec(checkpoint), options);
  model_options.max_output_rows = std::max(kMaxOutputRows, options.max_sequences);
  model_options.max_sequences = std::min(options.max_sequences, model_options.max_rows);
  model_options.quantise_to = parse_quantize(options.quantize);
  model_options.kv_type =
      choose_kv_type(options.kv_dtype, device.name(),
                     model_options.quantise_to || any_weight_is_quantised(checkpoint));
  model_options.kv_block_size = options.kv_block_size;
  model_options.weight_type = parse_dtype(options.dtype);
  return model_options;
}

}  // namespace openllm::backend

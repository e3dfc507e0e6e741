#pragma once

#include <cstdint>
#include <vector>

#include "backend/registry.h"
#include "kv/kv_spec.h"

namespace openllm::backend {

/// Our own engine on a device of this machine. The only backend that reads a model as a
/// model::ModelSpec and opens its tensors.
BackendEntry native_backend();

/// What a model takes on the cpu device.
struct Footprint {
  std::int64_t memory_bytes = 0;  ///< Weights and buffers, without the KV cache.
  std::int64_t step_bytes = 0;    ///< Of the weights, what decoding one token reads.
  std::int64_t n_parameters = 0;
  /// Of these, in embedding and output: of a prompt, only the last token meets them.
  std::int64_t n_table_parameters = 0;
  std::int64_t n_idle_parameters = 0;  ///< Of all, in experts that a token does not go to.
  int n_layers = 0;
  int vocab_size = 0;
  int max_model_len = 0;      ///< By the model and LoadOptions::max_model_len.
  bool is_quantised = false;  ///< Most of the weights.
  std::vector<kv::KvGroupSpec> kv_groups{};
};

/// Goes through the motions of loading without reading the weights. Throws as loading does, but for
/// what only their numbers would show.
Footprint native_footprint(const format::ModelSource& source, const LoadOptions& options);

}  // namespace openllm::backend

#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "kv/kv_spec.h"

namespace openllm::backend {

/// Our own engine on a device of this machine.
std::unique_ptr<Backend> load_native(const format::Checkpoint& checkpoint,
                                     const LoadOptions& options);

/// How many KV cache blocks each group gets.
struct KvBudget {
  std::vector<int> blocks_per_group{};
  int max_model_len = 0;  ///< Lowered when the memory does not hold one longest sequence.
};
/// Divides `options.kv_cache_bytes`, or what `available_bytes` allows, among the groups. A full
/// group holds as many tokens as fit; a windowed one never needs more than a window and a chunk per
/// sequence. Throws kResourceExhausted when an explicit budget does not hold a single block of each
/// group.
KvBudget plan_kv_budget(const std::vector<kv::KvGroupSpec>& groups, const LoadOptions& options,
                        int max_model_len, std::int64_t available_bytes);

}  // namespace openllm::backend

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/ops.h"
#include "kv/kv_spec.h"
#include "openllm/options.h"

namespace openllm::backend {

/// The longest sequence that `options` allow for a model made for `model_limit` positions. Throws
/// kInvalidArgument.
int resolve_max_model_len(const LoadOptions& options, int model_limit);

/// How many KV cache blocks each group gets.
struct KvBudget {
  std::vector<int> blocks_per_group{};
  int max_model_len = 0;  ///< Lowered when the memory does not hold one longest sequence.
};

/// Divides `options.kv_cache_bytes`, or what `available_bytes` allows, among the groups. A full
/// group holds as many tokens as fit; a windowed one never needs more than a window and a chunk per
/// sequence, one of states two and some snapshots. Throws kResourceExhausted when that does not
/// hold a single block of each group.
KvBudget plan_kv_budget(const std::vector<kv::KvGroupSpec>& groups, const LoadOptions& options,
                        int max_model_len, std::int64_t available_bytes);

/// The same for a draft model beside a model that has these `blocks`: room for as many tokens, but
/// at most a third of what is left then, so that `blocks` need not change. Throws
/// kResourceExhausted as above.
KvBudget plan_draft_kv_budget(const std::vector<kv::KvGroupSpec>& groups,
                              const LoadOptions& options, int max_model_len,
                              const std::vector<int>& blocks, std::int64_t left_bytes);

/// Memory of the KV cache for `tokens` tokens of one sequence, rounded up to blocks.
std::int64_t kv_bytes_of_sequence(const std::vector<kv::KvGroupSpec>& groups,
                                  const LoadOptions& options, std::int64_t tokens);
/// Memory of the blocks that a plan gives.
std::int64_t kv_bytes_of(const std::vector<kv::KvGroupSpec>& groups, const KvBudget& budget);

/// How keys and values are kept. `dtype` is LoadOptions::kv_dtype. "auto": int16 halves the
/// memory that attention reads and its arithmetic, and its rounding is below that of quantised
/// weights, but not below that of plain ones; the reference device, which defines what is right,
/// rounds nothing. Throws kInvalidArgument.
device::KvType choose_kv_type(const std::string& dtype, const std::string& device,
                              bool quantised_weights);
/// The name that LoadOptions::kv_dtype has for it.
const char* to_string(device::KvType type) noexcept;

}  // namespace openllm::backend

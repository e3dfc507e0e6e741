#include "backend/kv_budget.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace openllm::backend {
namespace {

/// a * b + c of numbers >= 0, or the largest one when that is too large.
std::int64_t multiply_add(std::int64_t a, std::int64_t b, std::int64_t c) {
  std::int64_t result = 0;
  const bool overflows =
      __builtin_mul_overflow(a, b, &result) || __builtin_add_overflow(result, c, &result);
  return overflows ? std::numeric_limits<std::int64_t>::max() : result;
}

std::int64_t round_up(std::int64_t tokens, std::int64_t block) {
  return (tokens + block - 1) / block * block;
}

/// Tokens that a group must hold so that full groups may hold `tokens`.
std::int64_t group_tokens(const kv::KvGroupSpec& group, const LoadOptions& options,
                          std::int64_t tokens) {
  const std::int64_t block = options.kv_block_size;
  if (group.kind == kv::KvKind::kState) {
    // Two for each 2048 tokens, a typical request, and as many snapshots as they may leave; never
    // more than all sequences can use.
    const std::int64_t stride = block * std::max(1, group.snapshot_blocks);
    const std::int64_t states = 2 + tokens / 1024 + tokens / stride;
    return std::min(states, 2 + std::int64_t{4} * options.max_sequences) * block;
  }
  if (group.kind != kv::KvKind::kWindow) return tokens;
  const std::int64_t per_sequence =
      round_up(group.window, block) + round_up(options.max_step_tokens, block) + block;
  return std::min(tokens, per_sequence * options.max_sequences);
}

std::int64_t bytes_for(const std::vector<kv::KvGroupSpec>& groups, const LoadOptions& options,
                       std::int64_t tokens) {
  std::int64_t bytes = 0;
  for (const kv::KvGroupSpec& group : groups) {
    bytes = multiply_add(group_tokens(group, options, tokens) / options.kv_block_size,
                         group.bytes_per_block, bytes);
  }
  return bytes;
}

}  // namespace

int resolve_max_model_len(const LoadOptions& options, int model_limit) {
  if (options.max_model_len < 0) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_model_len", "out of range (expected >= 0, got ",
                  options.max_model_len, ")");
  }
  if (options.max_model_len > model_limit) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_model_len",
                  "more than the model was made for (expected at most ", model_limit, ", got ",
                  options.max_model_len, ")");
  }
  return options.max_model_len == 0 ? model_limit : options.max_model_len;
}

KvBudget plan_kv_budget(const std::vector<kv::KvGroupSpec>& groups, const LoadOptions& options,
                        int max_model_len, std::int64_t available_bytes) {
  const std::int64_t block = options.kv_block_size;
  const std::int64_t one_sequence = round_up(max_model_len, block);
  // A typical request uses far less than the longest sequence; the pool is shared.
  const std::int64_t wanted =
      std::max(one_sequence, round_up(std::int64_t{options.max_sequences} * 2048, block));
  const bool is_given = options.kv_cache_bytes > 0;
  const std::int64_t budget =
      is_given ? options.kv_cache_bytes
               : std::min(available_bytes / 3, bytes_for(groups, options, wanted));
  std::int64_t low = 0;
  std::int64_t high = (is_given ? std::max(wanted, std::int64_t{1} << 24U) : wanted) / block;
  while (low < high) {
    const std::int64_t middle = (low + high + 1) / 2;
    if (bytes_for(groups, options, middle * block) <= budget) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == 0) {
    base::fail_at(ErrorCode::kResourceExhausted, "kv_cache_bytes", "too small (expected at least ",
                  bytes_for(groups, options, block), " for one block of ", block, " tokens, got ",
                  budget, ")");
  }
  KvBudget result;
  // A sequence of any length takes two states.
  const bool any_length = std::all_of(groups.begin(), groups.end(), [](const auto& group) {
    return group.kind == kv::KvKind::kState;
  });
  result.max_model_len = any_length
                             ? max_model_len
                             : static_cast<int>(std::min<std::int64_t>(max_model_len, low * block));
  for (const kv::KvGroupSpec& group : groups) {
    result.blocks_per_group.push_back(
        static_cast<int>(group_tokens(group, options, low * block) / block));
  }
  return result;
}

KvBudget plan_draft_kv_budget(const std::vector<kv::KvGroupSpec>& groups,
                              const LoadOptions& options, int max_model_len,
                              const std::vector<int>& blocks, std::int64_t left_bytes) {
  const std::int64_t n_most = blocks.empty() ? 0 : *std::max_element(blocks.begin(), blocks.end());
  const std::int64_t wanted = bytes_for(groups, options, n_most * options.kv_block_size);
  LoadOptions own = options;
  own.kv_cache_bytes = std::max<std::int64_t>(1, std::min(wanted, left_bytes / 3));
  return plan_kv_budget(groups, own, max_model_len, 0);
}

std::int64_t kv_bytes_of_sequence(const std::vector<kv::KvGroupSpec>& groups,
                                  const LoadOptions& options, std::int64_t tokens) {
  LoadOptions alone = options;
  alone.max_sequences = 1;
  return bytes_for(groups, alone, round_up(tokens, options.kv_block_size));
}

std::int64_t kv_bytes_of(const std::vector<kv::KvGroupSpec>& groups, const KvBudget& budget) {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < groups.size(); ++i)
    bytes = multiply_add(groups[i].bytes_per_block, budget.blocks_per_group[i], bytes);
  return bytes;
}

device::KvType choose_kv_type(const std::string& dtype, const std::string& device,
                              bool quantised_weights) {
  using device::KvType;
  if (dtype == "f32") return KvType::kF32;
  if (dtype == "f16") return KvType::kF16;
  if (dtype == "int8") return KvType::kInt8;
  if (dtype == "int16") return KvType::kInt16;
  if (dtype == "auto") {
    return quantised_weights && device != "reference" ? KvType::kInt16 : KvType::kF32;
  }
  base::fail_at(ErrorCode::kInvalidArgument, "kv_dtype",
                "unknown (expected auto, f32, f16, int16 or int8, got ", dtype, ")");
}

const char* to_string(device::KvType type) noexcept {
  switch (type) {
    case device::KvType::kF32:
      return "f32";
    case device::KvType::kF16:
      return "f16";
    case device::KvType::kInt8:
      return "int8";
    case device::KvType::kInt16:
      return "int16";
  }
  return "";
}

}  // namespace openllm::backend

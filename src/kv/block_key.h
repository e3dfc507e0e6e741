#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace openllm::kv {

/// Names the content of a full block: a 128-bit hash over the salt and every token from the start
/// of the sequence to the end of the block. Equal keys mean equal keys and values in every KV group
/// (collisions: 2^-64 at 2^32 blocks).
struct BlockKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

struct BlockKeyHash {
  std::size_t operator()(const BlockKey& key) const noexcept { return key.low; }
};

/// The key before the first block: `salt` is whatever besides tokens changes the numbers.
BlockKey root_key(std::span<const std::uint64_t> salt) noexcept;

/// The key of the block with these tokens that follows the block named `previous`. XXH3-128 over
/// both, chained.
BlockKey next_key(const BlockKey& previous, std::span<const std::int32_t> tokens) noexcept;

}  // namespace openllm::kv

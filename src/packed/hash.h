#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace openllm::packed {

/// 128 bits that name something by what it is.
struct Key {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Key&, const Key&) = default;
  friend bool operator<(const Key& a, const Key& b) noexcept {
    return a.low != b.low ? a.low < b.low : a.high < b.high;
  }
};

/// XXH3-128 and XXH3-64, which no later version of the algorithm changes.
Key hash_key(std::span<const std::byte> bytes) noexcept;
std::uint64_t checksum(std::span<const std::byte> bytes) noexcept;

}  // namespace openllm::packed

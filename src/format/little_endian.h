#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace openllm::format {

/// The unsigned integer of `n` <= 8 bytes at `pos`, which the caller has checked.
inline std::uint64_t load_le(std::span<const std::byte> bytes, std::size_t pos,
                             std::size_t n) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < n; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[pos + i]) << (8 * i);
  }
  return value;
}

}  // namespace openllm::format

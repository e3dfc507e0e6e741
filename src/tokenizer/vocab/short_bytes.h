#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace openllm::tokenizer {

// Words and tokens are a few bytes each; calls of memcpy and memcmp would cost more than their
// work.

inline std::uint64_t load_8(const char* data) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, data, 8);
  return word;
}
inline std::uint64_t load_4(const char* data) noexcept {
  std::uint32_t word = 0;
  std::memcpy(&word, data, 4);
  return word;
}

/// All of up to 8 bytes in one word; different for different bytes of equal length.
inline std::uint64_t load_up_to_8(const char* data, std::size_t n) noexcept {
  if (n >= 4) return load_4(data) | (load_4(data + n - 4) << 32U);
  if (n == 0) return 0;
  const auto byte = [data](std::size_t i) -> std::uint64_t {
    return static_cast<unsigned char>(data[i]);
  };
  return byte(0) | (byte(n / 2) << 8U) | (byte(n - 1) << 16U);
}

inline bool equal_bytes(const char* a, const char* b, std::size_t n) noexcept {
  if (n > 16) return std::memcmp(a, b, n) == 0;
  if (n > 8) return load_8(a) == load_8(b) && load_8(a + n - 8) == load_8(b + n - 8);
  return load_up_to_8(a, n) == load_up_to_8(b, n);
}

/// A fast hash; not the same on machines of different byte order.
inline std::uint64_t hash_bytes(std::string_view text) noexcept {
  const auto mix = [](std::uint64_t a, std::uint64_t b) {
    const std::uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15ULL;
    return x ^ (x >> 29U);
  };
  const char* data = text.data();
  std::size_t n = text.size();
  std::uint64_t hash = 0x2545F4914F6CDD1DULL ^ n;
  for (; n > 8; n -= 8, data += 8) hash = mix(hash, load_8(data));
  return mix(mix(hash, load_up_to_8(data, n)), 0);
}

}  // namespace openllm::tokenizer

#pragma once

#include <cstdint>

namespace openllm::base {

/// Counter-based random numbers: a pure function of its key, so that a token drawn at a position
/// does not depend on what else was drawn before. Mixing is SplitMix64's finaliser (Steele, Lea,
/// Flood 2014) applied over the key words.
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

/// 64 random bits for (seed, choice, position).
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t choice,
                                    std::uint64_t position) noexcept {
  return mix64(mix64(mix64(seed) ^ choice) ^ position);
}

/// Uniform in [0, 1) with 53 bits.
constexpr double random_unit(std::uint64_t seed, std::uint64_t choice,
                             std::uint64_t position) noexcept {
  return static_cast<double>(random_bits(seed, choice, position) >> 11U) * 0x1.0p-53;
}

}  // namespace openllm::base

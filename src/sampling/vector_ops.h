#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace openllm::sampling {

/// Elements whose probabilities are summed together, in double; partial sums make drawing
/// two-level.
constexpr std::size_t kBlock = 64;

struct Scan {
  float max = 0.0F;
  bool has_nan = false;
};
/// The largest value, NaN left out.
Scan scan(std::span<const float> x) noexcept;

/// out[i] = x[i] / divisor, rounded as the usual definition of temperature does. May alias.
void divide(std::span<const float> x, float divisor, float* out) noexcept;

/// Index of the first element equal to `value`; x.size() when there is none.
std::size_t find(std::span<const float> x, float value) noexcept;

/// The first block of kBlock elements, from `block` on, with an element >= value; the number of
/// blocks when there is none.
std::size_t next_block(std::span<const float> x, std::size_t block, float value) noexcept;

/// p[i] = exp(x[i] - max), relative error below 2e-7, 0 below exp(-87). block_sums[b] is the sum of
/// block b in a fixed order that is the same for every instruction set. p: as long as x;
/// block_sums: one per kBlock started.
void exp_blocks(std::span<const float> x, float max, float* p, double* block_sums) noexcept;

/// The same numbers, for some of the elements only.
void exp_some(std::span<const float> x, std::span<const std::int32_t> ids, float max,
              float* p) noexcept;

/// Sum of exp(x[i] - max), in the same order as exp_blocks and their sum.
double sum_exp(std::span<const float> x, float max) noexcept;

}  // namespace openllm::sampling

#include "sampling/vector_ops.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

// The same source is compiled for several instruction sets; no operation in it may be fused or
// reordered, so all give the same bits.
#define OPENLLM_INLINE static inline __attribute__((always_inline))

namespace openllm::sampling {
namespace {

constexpr std::size_t kLanes = 16;

/// exp(x) for x <= 0 by the polynomial of Cephes' expf.
OPENLLM_INLINE float exp_nonpositive(float x) {
  constexpr float kLowest = -87.0F;  // below it the result would be subnormal
  constexpr float kMagic =
      12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer kept in the low bits
  const float clamped = x < kLowest ? kLowest : x;
  const float shifted = clamped * 1.44269504088896341F + kMagic;
  const float n = shifted - kMagic;
  const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
  float y = 1.9875691500e-4F;
  y = y * r + 1.3981999507e-3F;
  y = y * r + 8.3334519073e-3F;
  y = y * r + 4.1665795894e-2F;
  y = y * r + 1.6666665459e-1F;
  y = y * r + 5.0000001201e-1F;
  y = y * (r * r) + r + 1.0F;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) << 23U) + 0x3F800000U;
  const float result = y * std::bit_cast<float>(exponent);
  return x < kLowest ? 0.0F : result;
}

OPENLLM_INLINE Scan scan_body(const float* x, std::size_t n) {
  float best[kLanes];
  std::uint32_t bad[kLanes];
  for (std::size_t l = 0; l < kLanes; ++l) {
    best[l] = -std::numeric_limits<float>::infinity();
    bad[l] = 0;
  }
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const float v = x[i + l];
      best[l] = v > best[l] ? v : best[l];
      bad[l] |= v == v ? 0U : 1U;
    }
  }
  Scan result{best[0], bad[0] != 0};
  for (std::size_t l = 1; l < kLanes; ++l) {
    result.max = std::max(result.max, best[l]);
    result.has_nan = result.has_nan || bad[l] != 0;
  }
  for (; i < n; ++i) {
    if (x[i] > result.max) result.max = x[i];
    result.has_nan = result.has_nan || x[i] != x[i];
  }
  return result;
}

OPENLLM_INLINE double lanes_sum(const double* lanes) {
  double sums[8];
  for (std::size_t l = 0; l < 8; ++l) sums[l] = lanes[l] + lanes[l + 8];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// One block; `p` holds the results even when the caller does not want them.
OPENLLM_INLINE double exp_block(const float* x, std::size_t n, float max, float* p) {
  double lanes[kLanes] = {};
  if (n == kBlock) {
    for (std::size_t i = 0; i < kBlock; ++i) p[i] = exp_nonpositive(x[i] - max);
    for (std::size_t i = 0; i < kBlock; i += kLanes) {
      for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(p[i + l]);
    }
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      p[i] = exp_nonpositive(x[i] - max);
      lanes[i % kLanes] += static_cast<double>(p[i]);
    }
  }
  return lanes_sum(lanes);
}

OPENLLM_INLINE void exp_blocks_body(const float* x, std::size_t n, float max, float* p,
                                    double* sums) {
  for (std::size_t i = 0, b = 0; i < n; i += kBlock, ++b) {
    sums[b] = exp_block(x + i, n - i < kBlock ? n - i : kBlock, max, p + i);
  }
}

OPENLLM_INLINE double sum_exp_body(const float* x, std::size_t n, float max) {
  double sum = 0.0;
  float p[kBlock];
  for (std::size_t i = 0; i < n; i += kBlock)
    sum += exp_block(x + i, n - i < kBlock ? n - i : kBlock, max, p);
  return sum;
}

struct Ops {
  Scan (*scan)(const float*, std::size_t);
  void (*exp_blocks)(const float*, std::size_t, float, float*, double*);
  double (*sum_exp)(const float*, std::size_t, float);
};

#define OPENLLM_OPS(name, attribute)                                                            \
  attribute Scan name##_scan(const float* x, std::size_t n) { return scan_body(x, n); }         \
  attribute void name##_exp(const float* x, std::size_t n, float max, float* p, double* sums) { \
    exp_blocks_body(x, n, max, p, sums);                                                        \
  }                                                                                             \
  attribute double name##_sum(const float* x, std::size_t n, float max) {                       \
    return sum_exp_body(x, n, max);                                                             \
  }                                                                                             \
  constexpr Ops k_##name{name##_scan, name##_exp, name##_sum};

OPENLLM_OPS(base, )

#if defined(__x86_64__) && defined(__GNUC__)
OPENLLM_OPS(avx2, __attribute__((target("avx2"))))
const Ops& choose() { return __builtin_cpu_supports("avx2") ? k_avx2 : k_base; }
#else
const Ops& choose() { return k_base; }
#endif

const Ops& ops() {
  static const Ops& chosen = choose();
  return chosen;
}

}  // namespace

Scan scan(std::span<const float> x) noexcept { return ops().scan(x.data(), x.size()); }

void divide(std::span<float> x, float divisor) noexcept {
  float* const data = x.data();
  const std::size_t n = x.size();
  for (std::size_t i = 0; i < n; ++i) data[i] /= divisor;
}

void exp_blocks(std::span<const float> x, float max, float* p, double* block_sums) noexcept {
  ops().exp_blocks(x.data(), x.size(), max, p, block_sums);
}

double sum_exp(std::span<const float> x, float max) noexcept {
  return ops().sum_exp(x.data(), x.size(), max);
}

}  // namespace openllm::sampling

#include "sampling/vector_ops.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

// The same source is compiled for several instruction sets; no operation in it may be fused or
// reordered, so all give the same bits.
#define OPENLLM_INLINE static inline __attribute__((always_inline))

namespace openllm::sampling {
namespace {

constexpr std::size_t kLanes = 16;

constexpr float kLowest = -87.0F;  // below it exp would be subnormal
constexpr float kLog2E = 1.44269504088896341F;
constexpr float kMagic =
    12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;
constexpr float kExp[] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                          4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};

/// exp(x) for x <= 0 by the polynomial of Cephes' expf.
OPENLLM_INLINE float exp_nonpositive(float x) {
  const float clamped = x < kLowest ? kLowest : x;
  const float shifted = clamped * kLog2E + kMagic;
  const float n = shifted - kMagic;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float y = r * kExp[0] + kExp[1];
  for (std::size_t k = 2; k < std::size(kExp); ++k) y = y * r + kExp[k];
  y = y * (r * r) + r + 1.0F;
  const std::uint32_t power = (std::bit_cast<std::uint32_t>(shifted) << 23U) + 0x3F800000U;
  return x < kLowest ? 0.0F : y * std::bit_cast<float>(power);
}

// Vectors of the compiler's own kind, as wide as AVX2's; other instruction sets split them.
using Floats = float __attribute__((vector_size(32)));
using Ints = std::int32_t __attribute__((vector_size(32)));
using Doubles = double __attribute__((vector_size(32)));
using Quad = float __attribute__((vector_size(16)));
constexpr std::size_t kWidth = 8;

OPENLLM_INLINE Scan scan_body(const float* x, std::size_t n) {
  constexpr std::size_t kParts = 4;  // independent, to hide the latency
  const Floats lowest = Floats{} - std::numeric_limits<float>::infinity();
  Floats best[kParts] = {lowest, lowest, lowest, lowest};
  Ints equal[kParts] = {~Ints{}, ~Ints{}, ~Ints{}, ~Ints{}};  // 0 in lanes that met a NaN, else -1
  std::size_t i = 0;
  for (; i + kParts * kWidth <= n; i += kParts * kWidth) {
    for (std::size_t k = 0; k < kParts; ++k) {
      Floats v;
      std::memcpy(&v, x + i + k * kWidth, sizeof(v));
      best[k] = v > best[k] ? v : best[k];
      equal[k] &= v == v;
    }
  }
  float lanes[kParts * kWidth];
  std::memcpy(lanes, best, sizeof(lanes));
  const Ints all = equal[0] & equal[1] & equal[2] & equal[3];
  std::int32_t flags[kWidth];
  std::memcpy(flags, &all, sizeof(flags));
  Scan result{-std::numeric_limits<float>::infinity(), false};
  for (const float lane : lanes) result.max = std::max(result.max, lane);
  for (const std::int32_t flag : flags) result.has_nan = result.has_nan || flag == 0;
  for (; i < n; ++i) {
    if (x[i] > result.max) result.max = x[i];
    result.has_nan = result.has_nan || x[i] != x[i];
  }
  return result;
}

/// exp_nonpositive of eight, operation by operation.
OPENLLM_INLINE void exp_eight(const float* x, float max, float* p) {
  const Floats lowest = Floats{} + kLowest;
  Floats v;
  std::memcpy(&v, x, sizeof(v));
  v -= max;
  const Floats clamped = v < lowest ? lowest : v;
  const Floats shifted = clamped * kLog2E + kMagic;
  const Floats n = shifted - kMagic;
  const Floats r = (clamped - n * kLn2High) - n * kLn2Low;
  Floats y = r * kExp[0] + kExp[1];
  for (std::size_t k = 2; k < std::size(kExp); ++k) y = y * r + kExp[k];
  y = y * (r * r) + r + 1.0F;
  Ints bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + 0x3F800000;
  Floats power;
  std::memcpy(&power, &bits, sizeof(power));
  y *= power;
  std::memcpy(&bits, &y, sizeof(bits));
  bits &= ~(v < lowest);
  std::memcpy(p, &bits, sizeof(bits));
}

/// Of kLanes sums, in an order of their own.
OPENLLM_INLINE double lanes_sum(const Doubles* lanes) {
  const Doubles sums = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/// One block; `p` holds the results even when the caller does not want them.
OPENLLM_INLINE double exp_block(const float* x, std::size_t n, float max, float* p) {
  Doubles sums[4] = {};
  if (n == kBlock) {
    for (std::size_t i = 0; i < kBlock; i += kWidth) exp_eight(x + i, max, p + i);
    for (std::size_t i = 0; i < kBlock; i += kLanes) {
      for (std::size_t k = 0; k < 4; ++k) {
        Quad quad;
        std::memcpy(&quad, p + i + 4 * k, sizeof(quad));
        sums[k] += __builtin_convertvector(quad, Doubles);
      }
    }
  } else {
    double lanes[kLanes] = {};
    for (std::size_t i = 0; i < n; ++i) {
      p[i] = exp_nonpositive(x[i] - max);
      lanes[i % kLanes] += static_cast<double>(p[i]);
    }
    std::memcpy(sums, lanes, sizeof(sums));
  }
  return lanes_sum(sums);
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

OPENLLM_INLINE void divide_body(const float* x, std::size_t n, float divisor, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i] / divisor;
}

OPENLLM_INLINE std::size_t find_body(const float* x, std::size_t n, float value) {
  std::size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    int hits = 0;
    for (std::size_t l = 0; l < kBlock; ++l) hits += x[i + l] == value ? 1 : 0;
    if (hits != 0) break;
  }
  while (i < n && x[i] != value) ++i;
  return i;
}

OPENLLM_INLINE std::size_t next_block_body(const float* x, std::size_t n, std::size_t block,
                                           float value) {
  for (; (block + 1) * kBlock <= n; ++block) {
    int hits = 0;
    for (std::size_t l = 0; l < kBlock; ++l) hits += x[block * kBlock + l] >= value ? 1 : 0;
    if (hits != 0) return block;
  }
  for (std::size_t i = block * kBlock; i < n; ++i) {
    if (x[i] >= value) return block;
  }
  return (n + kBlock - 1) / kBlock;
}

struct Ops {
  Scan (*scan)(const float*, std::size_t);
  void (*exp_blocks)(const float*, std::size_t, float, float*, double*);
  double (*sum_exp)(const float*, std::size_t, float);
  void (*divide)(const float*, std::size_t, float, float*);
  std::size_t (*find)(const float*, std::size_t, float);
  std::size_t (*next_block)(const float*, std::size_t, std::size_t, float);
};

#define OPENLLM_OPS(name, attribute)                                                            \
  attribute Scan name##_scan(const float* x, std::size_t n) { return scan_body(x, n); }         \
  attribute void name##_exp(const float* x, std::size_t n, float max, float* p, double* sums) { \
    exp_blocks_body(x, n, max, p, sums);                                                        \
  }                                                                                             \
  attribute double name##_sum(const float* x, std::size_t n, float max) {                       \
    return sum_exp_body(x, n, max);                                                             \
  }                                                                                             \
  attribute void name##_divide(const float* x, std::size_t n, float divisor, float* out) {      \
    divide_body(x, n, divisor, out);                                                            \
  }                                                                                             \
  attribute std::size_t name##_find(const float* x, std::size_t n, float value) {               \
    return find_body(x, n, value);                                                              \
  }                                                                                             \
  attribute std::size_t name##_next(const float* x, std::size_t n, std::size_t block,           \
                                    float value) {                                              \
    return next_block_body(x, n, block, value);                                                 \
  }                                                                                             \
  constexpr Ops k_##name{name##_scan,   name##_exp,  name##_sum,                                \
                         name##_divide, name##_find, name##_next};

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

void divide(std::span<const float> x, float divisor, float* out) noexcept {
  ops().divide(x.data(), x.size(), divisor, out);
}

std::size_t find(std::span<const float> x, float value) noexcept {
  return ops().find(x.data(), x.size(), value);
}

std::size_t next_block(std::span<const float> x, std::size_t block, float value) noexcept {
  return ops().next_block(x.data(), x.size(), block, value);
}

void exp_some(std::span<const float> x, std::span<const std::int32_t> ids, float max,
              float* p) noexcept {
  for (const std::int32_t id : ids) {
    const auto i = static_cast<std::size_t>(id);
    p[i] = exp_nonpositive(x[i] - max);
  }
}

void exp_blocks(std::span<const float> x, float max, float* p, double* block_sums) noexcept {
  ops().exp_blocks(x.data(), x.size(), max, p, block_sums);
}

double sum_exp(std::span<const float> x, float max) noexcept {
  return ops().sum_exp(x.data(), x.size(), max);
}

}  // namespace openllm::sampling

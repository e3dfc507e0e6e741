#pragma once

#include <cstddef>
#include <cstdint>

// 16 lanes of f32 or i32 and 64 bytes of codes in plain C++ (vector extension of GCC and Clang, no
// target flags).

namespace openllm::kernels {
namespace {

// Left to the compiler: forced inlining of byte loops costs a minute of compile time and brings
// nothing.
#define OPENLLM_INLINE inline

constexpr int kLanes = 16;

typedef float VQ [[gnu::vector_size(16)]];
struct VF {
  VQ q[4];
};
typedef std::int32_t VJ [[gnu::vector_size(16)]];
struct VI {
  VJ q[4];
};
struct VB {
  std::uint8_t b[64];
};

/// Code widths that need their own panel kernel.
template <int kBits>
constexpr int kPanelBits = kBits;
constexpr int kDirectRows = 3;
constexpr int kQuantRows = 4;
constexpr int kQuantTiles = 1;
constexpr int kPairUnroll = 2;
constexpr int kDenseRows = 2;
constexpr int kDenseTiles = 1;
/// Attention of kQueries: vectors of 16 positions, and of 16 entries of values, at a time: as many
/// sums as registers hold.
template <int kQueries>
constexpr int kScoreVectors = kQueries <= 3 ? 2 : 1;
template <int kQueries>
constexpr int kValueVectors = kQueries == 1 ? 4 : (kQueries <= 3 ? 2 : 1);

#define OPENLLM_LANES for (int i = 0; i < 4; ++i)

OPENLLM_INLINE VF splat(float v) {
  VF r;
  OPENLLM_LANES r.q[i] = VQ{v, v, v, v};
  return r;
}
OPENLLM_INLINE VF zero() { return splat(0.0F); }
OPENLLM_INLINE VF load(const float* p) {
  VF r;
  __builtin_memcpy(&r, p, sizeof(r));
  return r;
}
OPENLLM_INLINE VF load_first(const float* p, std::int64_t n) {
  VF r = zero();
  float* lanes = reinterpret_cast<float*>(&r);
  for (std::int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return r;
}
OPENLLM_INLINE void store(float* p, VF v) { __builtin_memcpy(p, &v, sizeof(v)); }
OPENLLM_INLINE void store_first(float* p, VF v, std::int64_t n) {
  float lanes[kLanes];
  store(lanes, v);
  for (std::int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
OPENLLM_INLINE VF add(VF a, VF b) {
  OPENLLM_LANES a.q[i] += b.q[i];
  return a;
}
OPENLLM_INLINE VF sub(VF a, VF b) {
  OPENLLM_LANES a.q[i] -= b.q[i];
  return a;
}
OPENLLM_INLINE VF mul(VF a, VF b) {
  OPENLLM_LANES a.q[i] *= b.q[i];
  return a;
}
OPENLLM_INLINE VF div(VF a, VF b) {
  OPENLLM_LANES a.q[i] /= b.q[i];
  return a;
}
/// Not fused here: product and sum are both rounded.
OPENLLM_INLINE VF fma(VF a, VF b, VF c) { return add(mul(a, b), c); }
OPENLLM_INLINE VF max(VF a, VF b) {
  OPENLLM_LANES a.q[i] = a.q[i] > b.q[i] ? a.q[i] : b.q[i];
  return a;
}
OPENLLM_INLINE VF min(VF a, VF b) {
  OPENLLM_LANES a.q[i] = a.q[i] < b.q[i] ? a.q[i] : b.q[i];
  return a;
}
OPENLLM_INLINE VF abs(VF a) {
  OPENLLM_LANES a.q[i] = reinterpret_cast<VQ>(reinterpret_cast<VJ>(a.q[i]) & 0x7FFFFFFF);
  return a;
}
/// a where x < y, else b.
OPENLLM_INLINE VF select_less(VF x, VF y, VF a, VF b) {
  OPENLLM_LANES a.q[i] = x.q[i] < y.q[i] ? a.q[i] : b.q[i];
  return a;
}
OPENLLM_INLINE VF copy_sign(VF magnitude, VF sign) {
  VF r = abs(magnitude);
  OPENLLM_LANES r.q[i] = reinterpret_cast<VQ>(reinterpret_cast<VJ>(r.q[i]) |
                                              (reinterpret_cast<VJ>(sign.q[i]) & INT32_MIN));
  return r;
}
/// For magnitudes below 2^22: adding 1.5 * 2^23 leaves the integer in the low bits, rounded to
/// nearest even.
OPENLLM_INLINE VF round_even(VF a) {
  OPENLLM_LANES a.q[i] = (a.q[i] + 12582912.0F) - 12582912.0F;
  return a;
}
/// p * 2^n for integral n in [-126, 127]; zero for -127.
OPENLLM_INLINE VF scale_by_power(VF p, VF n) {
  OPENLLM_LANES {
    const VJ exponent = __builtin_convertvector(n.q[i], VJ) + 127;
    p.q[i] *= reinterpret_cast<VQ>(exponent << 23);
  }
  return p;
}
/// For integral n from clamp_power, <= 0; zero where n < -126 and where it was no number.
OPENLLM_INLINE VF scale_down(VF p, VF n) { return scale_by_power(p, n); }
OPENLLM_INLINE VF clamp_power(VF n) { return max(n, splat(-127.0F)); }
OPENLLM_INLINE bool any_less(VF x, VF y) {
  bool any = false;
  for (int l = 0; l < 4; ++l) {
    OPENLLM_LANES any = any || x.q[i][l] < y.q[i][l];
  }
  return any;
}
/// The lanes whose index is in [begin, end) keep v, the others get `other`.
OPENLLM_INLINE VF keep_range(VF v, std::int64_t begin, std::int64_t end, VF other) {
  float lanes[kLanes];
  store(lanes, other);
  const float* from = reinterpret_cast<const float*>(&v);
  for (std::int64_t i = begin < 0 ? 0 : begin; i < end; ++i) lanes[i] = from[i];
  return load(lanes);
}
OPENLLM_INLINE float max_lane(VF v) {
  float lanes[kLanes];
  store(lanes, v);
  float best = lanes[0];
  for (const float lane : lanes) best = lane > best ? lane : best;
  return best;
}
OPENLLM_INLINE float sum_lanes(VF v) {
  const VQ half = (v.q[0] + v.q[2]) + (v.q[1] + v.q[3]);
  return (half[0] + half[2]) + (half[1] + half[3]);
}
OPENLLM_INLINE float root(float v) { return __builtin_sqrtf(v); }

/// Exact: a normal half is rebased by the exponent's difference, subnormals come out of the float
/// subtraction.
OPENLLM_INLINE float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000U) << 16U;
  const std::uint32_t rest = static_cast<std::uint32_t>(h & 0x7FFFU) << 13U;
  std::uint32_t bits;
  if (rest >= 0x0F800000U) {  // infinity, NaN
    bits = rest | 0x7F800000U;
  } else if (rest >= 0x00800000U) {
    bits = rest + 0x38000000U;
  } else {
    const std::uint32_t biased = rest + 0x38800000U;
    float f;
    __builtin_memcpy(&f, &biased, 4);
    f -= 6.103515625e-05F;  // 2^-14
    __builtin_memcpy(&bits, &f, 4);
  }
  bits |= sign;
  float out;
  __builtin_memcpy(&out, &bits, 4);
  return out;
}
OPENLLM_INLINE std::uint16_t float_to_half(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  bits &= 0x7FFFFFFFU;
  if (bits > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (bits >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds to infinity
  if (bits < 0x38800000U) {  // subnormal: let the float adder round at 2^-24
    float f;
    __builtin_memcpy(&f, &bits, 4);
    f += 0.5F;
    __builtin_memcpy(&bits, &f, 4);
    return static_cast<std::uint16_t>(sign | (bits - 0x3F000000U));
  }
  const std::uint32_t odd = (bits >> 13U) & 1U;
  bits += 0xC8000FFFU + odd;
  return static_cast<std::uint16_t>(sign | (bits >> 13U));
}

OPENLLM_INLINE VF load_f16(const unsigned char* p) {
  std::uint16_t halves[kLanes];
  __builtin_memcpy(halves, p, sizeof(halves));
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = half_to_float(halves[i]);
  return load(lanes);
}
/// Two columns of 16 BF16, in pairs.
OPENLLM_INLINE void load_bf16_pairs(const unsigned char* p, VF& even, VF& odd) {
  std::uint16_t halves[2 * kLanes];
  __builtin_memcpy(halves, p, sizeof(halves));
  std::uint32_t first[kLanes];
  std::uint32_t second[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    first[i] = static_cast<std::uint32_t>(halves[2 * i]) << 16U;
    second[i] = static_cast<std::uint32_t>(halves[2 * i + 1]) << 16U;
  }
  __builtin_memcpy(&even, first, sizeof(even));
  __builtin_memcpy(&odd, second, sizeof(odd));
}
/// 16 bytes that are F16 without their low half.
OPENLLM_INLINE VF load_e5m2(const unsigned char* p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    lanes[i] = half_to_float(static_cast<std::uint16_t>(p[i] << 8U));
  }
  return load(lanes);
}
/// 16 finite E4M3: the same bits are an F16 that is 2^8 too small.
OPENLLM_INLINE VF load_e4m3(const unsigned char* p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const unsigned bits = (p[i] & 0x80U) << 8U | (p[i] & 0x7FU) << 7U;
    lanes[i] = half_to_float(static_cast<std::uint16_t>(bits)) * 256.0F;
  }
  return load(lanes);
}
/// The values of 16 low and 16 high nibbles.
OPENLLM_INLINE void look_up_pair(const unsigned char* p, const float* table, VF& low, VF& high) {
  float lows[kLanes];
  float highs[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    lows[i] = table[p[i] & 15U];
    highs[i] = table[p[i] >> 4U];
  }
  low = load(lows);
  high = load(highs);
}
OPENLLM_INLINE VF load_i8(const unsigned char* p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(static_cast<std::int8_t>(p[i]));
  return load(lanes);
}
OPENLLM_INLINE void store_f16(std::uint16_t* p, VF v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(lanes[i]);
}
/// Values of magnitude <= 127, rounded to nearest even, as bytes.
OPENLLM_INLINE void store_i8(std::int8_t* p, VF v) {
  float lanes[kLanes];
  store(lanes, round_even(v));
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::int8_t>(lanes[i]);
}
/// Of magnitude <= 32767, rounded to nearest even, as int16.
OPENLLM_INLINE void store_i16(std::int16_t* p, VF v) {
  float lanes[kLanes];
  store(lanes, round_even(v));
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::int16_t>(lanes[i]);
}
OPENLLM_INLINE std::int32_t sum_bytes16(const std::int8_t* p) {
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += p[i];
  return sum;
}

template <int kShift>
OPENLLM_INLINE VI splat_shifted(std::int32_t v) {
  VI r;
  const std::int32_t value = kShift < 0 ? 0 : v * (1 << (kShift < 0 ? 0 : kShift));
  OPENLLM_LANES r.q[i] = VJ{value, value, value, value};
  return r;
}
OPENLLM_INLINE VI add_int(VI a, VI b) {
  OPENLLM_LANES a.q[i] += b.q[i];
  return a;
}
OPENLLM_INLINE VI times_256(VI v) {
  OPENLLM_LANES v.q[i] *= 256;
  return v;
}
OPENLLM_INLINE VF to_float(VI v) {
  VF r;
  OPENLLM_LANES r.q[i] = __builtin_convertvector(v.q[i], VQ);
  return r;
}

OPENLLM_INLINE VB load_bytes(const unsigned char* p) {
  VB r;
  __builtin_memcpy(&r, p, sizeof(r));
  return r;
}
OPENLLM_INLINE void store_bytes(unsigned char* p, const VB& v) { __builtin_memcpy(p, &v, 64); }
OPENLLM_INLINE VB low_nibbles(VB v) {
  for (std::uint8_t& b : v.b) b = b & 15U;
  return v;
}
OPENLLM_INLINE VB high_nibbles(VB v) {
  for (std::uint8_t& b : v.b) b = static_cast<std::uint8_t>(b >> 4U);
  return v;
}
/// v | 16 where bit i of the 64 at p is set, for byte i.
OPENLLM_INLINE VB or_fifth_bit(VB v, const unsigned char* p) {
  for (int i = 0; i < 64; ++i) {
    v.b[i] = static_cast<std::uint8_t>(v.b[i] | (((p[i / 8] >> (i % 8)) & 1) << 4));
  }
  return v;
}
/// v | (bits 2 i and 2 i + 1 of each byte of high) << 4.
template <int kIndex>
OPENLLM_INLINE VB or_two_bits(VB v, const VB& high) {
  for (int i = 0; i < 64; ++i) {
    v.b[i] = static_cast<std::uint8_t>(v.b[i] | (((high.b[i] >> (2 * kIndex)) & 3) << 4));
  }
  return v;
}
OPENLLM_INLINE VB look_up(VB v, const std::uint8_t* table) {
  for (std::uint8_t& b : v.b) b = table[b];
  return v;
}

/// Of each four bytes two, from the one at kFirst, less kOffset, as int16.
template <int kOffset, int kFirst>
OPENLLM_INLINE VB pairs_from(const VB& v) {
  std::int16_t wide[2 * kLanes];
  for (int i = 0; i < 2 * kLanes; ++i) {
    wide[i] = static_cast<std::int16_t>(v.b[i / 2 * 4 + kFirst + i % 2] - kOffset);
  }
  VB r;
  __builtin_memcpy(&r, wide, sizeof(r));
  return r;
}
template <int kOffset>
OPENLLM_INLINE VB first_pairs(const VB& v) {
  return pairs_from<kOffset, 0>(v);
}
template <int kOffset>
OPENLLM_INLINE VB second_pairs(const VB& v) {
  return pairs_from<kOffset, 2>(v);
}
struct Pair {
  std::int16_t v[2];
};
OPENLLM_INLINE Pair splat_pair(const std::int16_t* p) { return {{p[0], p[1]}}; }
/// acc + the products of two pairs of int16, per lane.
OPENLLM_INLINE VI dot_pairs(const VB& w, Pair x, VI acc) {
  std::int16_t pairs[2 * kLanes];
  std::int32_t lanes[kLanes];
  __builtin_memcpy(pairs, &w, sizeof(pairs));
  __builtin_memcpy(lanes, &acc, sizeof(lanes));
  for (int i = 0; i < kLanes; ++i) lanes[i] += pairs[2 * i] * x.v[0] + pairs[2 * i + 1] * x.v[1];
  __builtin_memcpy(&acc, lanes, sizeof(acc));
  return acc;
}

/// init + sum over j < kCount of the products of w[j]'s unsigned bytes with the four bytes at a + 4
/// j, per lane.
template <int kBits, int kCount>
OPENLLM_INLINE VI dot(const VB* w, const std::int8_t* a, VI init) {
  std::int32_t lanes[kLanes];
  __builtin_memcpy(lanes, &init, sizeof(lanes));
  for (int j = 0; j < kCount; ++j) {
    for (int i = 0; i < kLanes; ++i) {
      const std::uint8_t* b = w[j].b + 4 * i;
      const std::int8_t* four = a + 4 * j;
      lanes[i] += b[0] * four[0] + b[1] * four[1] + b[2] * four[2] + b[3] * four[3];
    }
  }
  __builtin_memcpy(&init, lanes, sizeof(lanes));
  return init;
}

OPENLLM_INLINE void prefetch(const unsigned char* /*p*/) {}

}  // namespace
}  // namespace openllm::kernels

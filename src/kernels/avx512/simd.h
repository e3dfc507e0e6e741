#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// 16 lanes of f32 or i32 and 64 bytes of codes, as one AVX-512 register each (F, BW, DQ, VL, VNNI).
// Everything has internal linkage: no code compiled here may be linked into another instruction
// set's path.

namespace openllm::kernels {
namespace {

#define OPENLLM_INLINE __attribute__((always_inline)) inline

using VF = __m512;
using VI = __m512i;
using VB = __m512i;

/// Code widths that need their own panel kernel: none, VNNI does not saturate.
template <int kBits>
constexpr int kPanelBits = 8;
constexpr int kDirectRows = 8;   // rows of x that codes meet without being unpacked to memory
constexpr int kQuantRows = 6;    // rows of x of a register block, quantised weights
constexpr int kQuantTiles = 2;   // tiles of weights of a register block
constexpr int kPairUnroll = 16;  // pairs of columns whose products are written out, int16
constexpr int kDenseRows = 12;
constexpr int kDenseTiles = 2;
/// Attention of kQueries: vectors of 16 positions, and of 16 entries of values, at a time.
template <int kQueries>
constexpr int kScoreVectors = 2;
template <int kQueries>
constexpr int kValueVectors = 4;

OPENLLM_INLINE __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>((1U << static_cast<unsigned>(n)) - 1U);
}

OPENLLM_INLINE VF zero() { return _mm512_setzero_ps(); }
OPENLLM_INLINE VF splat(float v) { return _mm512_set1_ps(v); }
OPENLLM_INLINE VF load(const float* p) { return _mm512_loadu_ps(p); }
OPENLLM_INLINE VF load_first(const float* p, std::int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
OPENLLM_INLINE void store(float* p, VF v) { _mm512_storeu_ps(p, v); }
OPENLLM_INLINE void store_first(float* p, VF v, std::int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
OPENLLM_INLINE VF add(VF a, VF b) { return _mm512_add_ps(a, b); }
OPENLLM_INLINE VF sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
OPENLLM_INLINE VF mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
OPENLLM_INLINE VF div(VF a, VF b) { return _mm512_div_ps(a, b); }
OPENLLM_INLINE VF fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
OPENLLM_INLINE VF max(VF a, VF b) { return _mm512_max_ps(a, b); }
OPENLLM_INLINE VF min(VF a, VF b) { return _mm512_min_ps(a, b); }
OPENLLM_INLINE VF abs(VF a) { return _mm512_abs_ps(a); }
/// a where x < y, else b.
OPENLLM_INLINE VF select_less(VF x, VF y, VF a, VF b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), b, a);
}
OPENLLM_INLINE VF copy_sign(VF magnitude, VF sign) {
  return _mm512_or_ps(_mm512_abs_ps(magnitude), _mm512_and_ps(sign, _mm512_set1_ps(-0.0F)));
}
OPENLLM_INLINE VF round_even(VF a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// p * 2^n for integral n in [-127, 127].
OPENLLM_INLINE VF scale_by_power(VF p, VF n) { return _mm512_scalef_ps(p, n); }
/// For integral n <= 0; zero where n < -126 and where it is no number.
OPENLLM_INLINE VF scale_down(VF p, VF n) {
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(n, splat(-126.0F), _CMP_GE_OQ), p, n);
}
/// What scale_down wants to come from: here anything.
OPENLLM_INLINE VF clamp_power(VF n) { return n; }
OPENLLM_INLINE bool any_less(VF x, VF y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ) != 0; }
/// The lanes whose index is in [begin, end) keep v, the others get `other`.
OPENLLM_INLINE VF keep_range(VF v, std::int64_t begin, std::int64_t end, VF other) {
  const auto mask = static_cast<__mmask16>(first_lanes(end) & ~first_lanes(begin));
  return _mm512_mask_blend_ps(mask, other, v);
}
OPENLLM_INLINE float max_lane(VF v) { return _mm512_reduce_max_ps(v); }
OPENLLM_INLINE float sum_lanes(VF v) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
OPENLLM_INLINE float root(float v) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }

OPENLLM_INLINE VF load_f16(const unsigned char* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
/// Two columns of 16 BF16, in pairs.
OPENLLM_INLINE void load_bf16_pairs(const unsigned char* p, VF& even, VF& odd) {
  const __m512i pairs = _mm512_loadu_si512(static_cast<const void*>(p));
  even = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  odd = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
}
/// 16 bytes that are F16 without their low half.
OPENLLM_INLINE VF load_e5m2(const unsigned char* p) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm512_cvtph_ps(_mm256_slli_epi16(wide, 8));
}
/// 16 finite E4M3: the same bits are an F16 that is 2^8 too small.
OPENLLM_INLINE VF load_e4m3(const unsigned char* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i low = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(0x3F80));
  const __m256i sign = _mm256_and_si256(wide, _mm256_set1_epi16(-32768));
  return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_or_si256(low, sign)), _mm512_set1_ps(256.0F));
}
/// The values of 16 low and 16 high nibbles.
OPENLLM_INLINE void look_up_pair(const unsigned char* p, const float* table, VF& low, VF& high) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m512 values = _mm512_loadu_ps(table);
  low = _mm512_permutexvar_ps(bytes, values);  // looks at four bits
  high = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), values);
}
OPENLLM_INLINE VF load_i8(const unsigned char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
OPENLLM_INLINE void store_f16(std::uint16_t* p, VF v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/// Values of magnitude <= 127, rounded to nearest even, as bytes.
OPENLLM_INLINE void store_i8(std::int8_t* p, VF v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}
/// Of magnitude <= 32767, rounded to nearest even, as int16.
OPENLLM_INLINE void store_i16(std::int16_t* p, VF v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}
OPENLLM_INLINE std::int32_t sum_bytes16(const std::int8_t* p) {
  const __m512i v = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm512_reduce_add_epi32(v);
}

template <int kShift>
OPENLLM_INLINE VI splat_shifted(std::int32_t v) {
  if constexpr (kShift < 0) {
    return _mm512_setzero_si512();
  } else {
    return _mm512_slli_epi32(_mm512_set1_epi32(v), kShift);
  }
}
OPENLLM_INLINE VF to_float(VI v) { return _mm512_cvtepi32_ps(v); }
OPENLLM_INLINE VI add_int(VI a, VI b) { return _mm512_add_epi32(a, b); }
OPENLLM_INLINE VI times_256(VI v) { return _mm512_slli_epi32(v, 8); }

OPENLLM_INLINE VB load_bytes(const unsigned char* p) {
  return _mm512_loadu_si512(static_cast<const void*>(p));
}
OPENLLM_INLINE void store_bytes(unsigned char* p, VB v) { _mm512_storeu_si512(p, v); }
OPENLLM_INLINE VB low_nibbles(VB v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
OPENLLM_INLINE VB high_nibbles(VB v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }
/// v | 16 where bit i of the 64 at p is set, for byte i.
OPENLLM_INLINE VB or_fifth_bit(VB v, const unsigned char* p) {
  std::uint64_t bits;
  __builtin_memcpy(&bits, p, 8);
  return _mm512_or_si512(v, _mm512_maskz_set1_epi8(bits, 16));
}
/// v | (bits 2 i and 2 i + 1 of each byte of high) << 4.
template <int kIndex>
OPENLLM_INLINE VB or_two_bits(VB v, VB high) {
  VB moved = high;
  if constexpr (kIndex == 0) moved = _mm512_slli_epi16(high, 4);
  if constexpr (kIndex == 1) moved = _mm512_slli_epi16(high, 2);
  if constexpr (kIndex == 3) moved = _mm512_srli_epi16(high, 2);
  return _mm512_or_si512(v, _mm512_and_si512(moved, _mm512_set1_epi8(0x30)));
}
OPENLLM_INLINE VB look_up(VB v, const std::uint8_t* table) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), v);
}

/// Of each four bytes the first (second) two, less kOffset, as int16.
template <int kOffset>
OPENLLM_INLINE VB first_pairs(VB v) {
  const __m128i order = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
  const VB pairs = _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(order));
  return _mm512_sub_epi16(pairs, _mm512_set1_epi16(kOffset));
}
template <int kOffset>
OPENLLM_INLINE VB second_pairs(VB v) {
  return first_pairs<kOffset>(_mm512_srli_epi32(v, 16));
}
OPENLLM_INLINE VB splat_pair(const std::int16_t* p) {
  std::int32_t two;
  __builtin_memcpy(&two, p, 4);
  return _mm512_set1_epi32(two);
}
/// acc + the products of two pairs of int16, per lane.
OPENLLM_INLINE VI dot_pairs(VB w, VB x, VI acc) {
  // Not the intrinsic: with it GCC 12 copies and spills sums that a loop carries.
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}

/// init + sum over j < kCount of the products of w[j]'s unsigned bytes with the four bytes at a + 4
/// j, per lane. kBits tells how large codes may be (unused here: VNNI does not saturate).
template <int kBits, int kCount>
OPENLLM_INLINE VI dot(const VB* w, const std::int8_t* a, VI init) {
  VI acc = init;
#pragma GCC unroll 8
  for (int j = 0; j < kCount; ++j) {
    std::int32_t four;
    __builtin_memcpy(&four, a + 4 * j, 4);
    acc = _mm512_dpbusd_epi32(acc, w[j], _mm512_set1_epi32(four));
  }
  return acc;
}

/// The same for rows of activations kRow bytes apart. Their sums take turns, as one waits for its
/// last addition.
template <int kBits, int kCount, int kRow, int kRows>
OPENLLM_INLINE void dot_rows(const VB* w, const std::int8_t* a, VI (&sums)[kRows]) {
#pragma GCC unroll 8
  for (int j = 0; j < kCount; ++j) {
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      std::int32_t four;
      __builtin_memcpy(&four, a + m * kRow + 4 * j, 4);
      sums[m] = _mm512_dpbusd_epi32(sums[m], w[j], _mm512_set1_epi32(four));
    }
  }
}

/// The same for a register block: sums[n][m] += codes of tile n times activations of row m. Each
/// group of four activations is spread once for all tiles.
template <int kBits, int kCount, int kRows, int kTiles>
OPENLLM_INLINE void dot_block(const unsigned char* const* w, const std::int8_t* const* a,
                              VI (&sums)[kTiles][kRows]) {
#pragma GCC unroll 8
  for (int j = 0; j < kCount; ++j) {
    VB codes[kTiles];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) codes[n] = load_bytes(w[n] + 64 * j);
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      std::int32_t four;
      __builtin_memcpy(&four, a[m] + 4 * j, 4);
      const VI spread = _mm512_set1_epi32(four);
#pragma GCC unroll 2
      for (int n = 0; n < kTiles; ++n) {
        sums[n][m] = _mm512_dpbusd_epi32(sums[n][m], codes[n], spread);
      }
    }
  }
}

OPENLLM_INLINE void prefetch(const unsigned char* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace
}  // namespace openllm::kernels

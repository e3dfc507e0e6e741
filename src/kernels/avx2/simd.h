#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// 16 lanes of f32 or i32 and 64 bytes of codes as two AVX2 registers each (AVX2, FMA, F16C).
// Everything has internal linkage: no code compiled here may be linked into another instruction
// set's path.

namespace openllm::kernels {
namespace {

#define OPENLLM_INLINE __attribute__((always_inline)) inline

struct VF {
  __m256 a;
  __m256 b;
};
struct VI {
  __m256i a;
  __m256i b;
};
using VB = VI;

/// Code widths that need their own panel kernel.
template <int kBits>
constexpr int kPanelBits = kBits;
constexpr int kDirectRows = 4;
constexpr int kQuantRows = 4;
constexpr int kQuantTiles = 1;
/// Pairs of columns whose products are written out: more, and the compiler moves their loads up and
/// spills (measured: 0.7 of the speed by AVX2).
constexpr int kPairUnroll = 2;
constexpr int kDenseRows = 6;
constexpr int kDenseTiles = 1;
/// Attention of kQueries: vectors of 16 positions, and of 16 entries of values, at a time: as many
/// sums as registers hold.
template <int kQueries>
constexpr int kScoreVectors = kQueries <= 3 ? 2 : 1;
template <int kQueries>
constexpr int kValueVectors = kQueries == 1 ? 4 : (kQueries <= 3 ? 2 : 1);

OPENLLM_INLINE VF splat(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
OPENLLM_INLINE VF zero() { return splat(0.0F); }
OPENLLM_INLINE VF load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
OPENLLM_INLINE void store(float* p, VF v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
/// All bits set in lanes [0, n) of the eight that start at lane `first`.
OPENLLM_INLINE __m256i lanes_below(std::int64_t n, int first) {
  const __m256i index =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}
OPENLLM_INLINE VF load_first(const float* p, std::int64_t n) {
  return {_mm256_maskload_ps(p, lanes_below(n, 0)),
          n > 8 ? _mm256_maskload_ps(p + 8, lanes_below(n, 8)) : _mm256_setzero_ps()};
}
OPENLLM_INLINE void store_first(float* p, VF v, std::int64_t n) {
  _mm256_maskstore_ps(p, lanes_below(n, 0), v.a);
  if (n > 8) _mm256_maskstore_ps(p + 8, lanes_below(n, 8), v.b);
}
OPENLLM_INLINE VF add(VF x, VF y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
OPENLLM_INLINE VF sub(VF x, VF y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
OPENLLM_INLINE VF mul(VF x, VF y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
OPENLLM_INLINE VF div(VF x, VF y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
OPENLLM_INLINE VF fma(VF x, VF y, VF z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
OPENLLM_INLINE VF max(VF x, VF y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
OPENLLM_INLINE VF min(VF x, VF y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
OPENLLM_INLINE VF abs(VF x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
/// a where x < y, else b.
OPENLLM_INLINE VF select_less(VF x, VF y, VF a, VF b) {
  return {_mm256_blendv_ps(b.a, a.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(b.b, a.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}
OPENLLM_INLINE VF copy_sign(VF magnitude, VF sign) {
  const __m256 bit = _mm256_set1_ps(-0.0F);
  const VF m = abs(magnitude);
  return {_mm256_or_ps(m.a, _mm256_and_ps(sign.a, bit)),
          _mm256_or_ps(m.b, _mm256_and_ps(sign.b, bit))};
}
OPENLLM_INLINE VF round_even(VF x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
OPENLLM_INLINE __m256 power(__m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
/// p * 2^n for integral n in [-126, 127]; zero for -127.
OPENLLM_INLINE VF scale_by_power(VF p, VF n) {
  return {_mm256_mul_ps(p.a, power(n.a)), _mm256_mul_ps(p.b, power(n.b))};
}
/// For integral n from clamp_power, <= 0; zero where n < -126 and where it was no number.
OPENLLM_INLINE VF scale_down(VF p, VF n) { return scale_by_power(p, n); }
OPENLLM_INLINE VF clamp_power(VF n) { return max(n, splat(-127.0F)); }
OPENLLM_INLINE bool any_less(VF x, VF y) {
  const __m256 either =
      _mm256_or_ps(_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ));
  return _mm256_movemask_ps(either) != 0;
}
/// The lanes whose index is in [begin, end) keep v, the others get `other`.
OPENLLM_INLINE VF keep_range(VF v, std::int64_t begin, std::int64_t end, VF other) {
  const __m256i low = _mm256_andnot_si256(lanes_below(begin, 0), lanes_below(end, 0));
  const __m256i high = _mm256_andnot_si256(lanes_below(begin, 8), lanes_below(end, 8));
  return {_mm256_blendv_ps(other.a, v.a, _mm256_castsi256_ps(low)),
          _mm256_blendv_ps(other.b, v.b, _mm256_castsi256_ps(high))};
}
OPENLLM_INLINE float max_lane(VF v) {
  const __m256 both = _mm256_max_ps(v.a, v.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
OPENLLM_INLINE float sum_lanes(VF v) {
  const __m256 both = _mm256_add_ps(v.a, v.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OPENLLM_INLINE float root(float v) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }

OPENLLM_INLINE __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
OPENLLM_INLINE VF load_f16(const unsigned char* p) {
  return {_mm256_cvtph_ps(load128(p)), _mm256_cvtph_ps(load128(p + 16))};
}
/// Two columns of 16 BF16, in pairs.
OPENLLM_INLINE void load_bf16_pairs(const unsigned char* p, VF& even, VF& odd) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
  const __m256i high = _mm256_set1_epi32(-65536);
  even = {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
  odd = {_mm256_castsi256_ps(_mm256_and_si256(a, high)),
         _mm256_castsi256_ps(_mm256_and_si256(b, high))};
}
/// 16 bytes that are F16 without their low half.
OPENLLM_INLINE VF load_e5m2(const unsigned char* p) {
  const __m256i halves = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load128(p)), 8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
}
/// 16 finite E4M3: the same bits are an F16 that is 2^8 too small.
OPENLLM_INLINE VF load_e4m3(const unsigned char* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(load128(p));
  const __m256i low = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(0x3F80));
  const __m256i sign = _mm256_and_si256(wide, _mm256_set1_epi16(-32768));
  const __m256i halves = _mm256_or_si256(low, sign);
  return mul({_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
              _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))},
             splat(256.0F));
}
/// Of four bits in each of 8 lanes; what lies above is not looked at.
OPENLLM_INLINE __m256 look_up8(__m256i index, const float* table) {
  const __m256 first = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
  const __m256 second = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index);
  return _mm256_blendv_ps(first, second, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
/// The values of 16 low and 16 high nibbles.
OPENLLM_INLINE void look_up_pair(const unsigned char* p, const float* table, VF& low, VF& high) {
  const __m128i bytes = load128(p);
  const __m256i a = _mm256_cvtepu8_epi32(bytes);
  const __m256i b = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
  low = {look_up8(a, table), look_up8(b, table)};
  high = {look_up8(_mm256_srli_epi32(a, 4), table), look_up8(_mm256_srli_epi32(b, 4), table)};
}
OPENLLM_INLINE VF load_i8(const unsigned char* p) {
  const __m128i bytes = load128(p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
OPENLLM_INLINE void store_f16(std::uint16_t* p, VF v) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, kNearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.b, kNearest));
}
/// Values of magnitude <= 127, rounded to nearest even, as bytes.
OPENLLM_INLINE void store_i8(std::int8_t* p, VF v) {
  const __m256i words =
      _mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b));  // per 128-bit half
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
/// Of magnitude <= 32767, rounded to nearest even, as int16.
OPENLLM_INLINE void store_i16(std::int16_t* p, VF v) {
  const __m256i words =
      _mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b));  // per 128-bit half
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(words, 0xD8));
}
OPENLLM_INLINE std::int32_t sum_bytes16(const std::int8_t* p) {
  // Unsigned sums of eight bytes each, after a shift by 128.
  const __m128i biased = _mm_xor_si128(load128(p), _mm_set1_epi8(-128));
  const __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
  return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 2) - 16 * 128;
}

/// For 8-bit codes `dot` works with code - 128, so there is no offset to make up for.
template <int kShift>
OPENLLM_INLINE VI splat_shifted(std::int32_t v) {
  if constexpr (kShift < 0 || kShift == 7) {
    return {_mm256_setzero_si256(), _mm256_setzero_si256()};
  } else {
    const __m256i s = _mm256_slli_epi32(_mm256_set1_epi32(v), kShift);
    return {s, s};
  }
}
OPENLLM_INLINE VF to_float(VI v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
OPENLLM_INLINE VI add_int(VI x, VI y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
OPENLLM_INLINE VI times_256(VI v) { return {_mm256_slli_epi32(v.a, 8), _mm256_slli_epi32(v.b, 8)}; }

OPENLLM_INLINE VB load_bytes(const unsigned char* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
OPENLLM_INLINE void store_bytes(unsigned char* p, VB v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), v.b);
}
OPENLLM_INLINE VB low_nibbles(VB v) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(v.a, mask), _mm256_and_si256(v.b, mask)};
}
OPENLLM_INLINE VB high_nibbles(VB v) {
  return low_nibbles({_mm256_srli_epi16(v.a, 4), _mm256_srli_epi16(v.b, 4)});
}
/// 16 in byte i where bit i of the 32 at p is set.
OPENLLM_INLINE __m256i fifth_bits(const unsigned char* p) {
  std::int32_t bits;
  __builtin_memcpy(&bits, p, 4);
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(bits),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i mask = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, mask), mask);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}
OPENLLM_INLINE VB or_fifth_bit(VB v, const unsigned char* p) {
  return {_mm256_or_si256(v.a, fifth_bits(p)), _mm256_or_si256(v.b, fifth_bits(p + 4))};
}
template <int kIndex>
OPENLLM_INLINE __m256i two_bits(__m256i high) {
  __m256i moved = high;
  if constexpr (kIndex == 0) moved = _mm256_slli_epi16(high, 4);
  if constexpr (kIndex == 1) moved = _mm256_slli_epi16(high, 2);
  if constexpr (kIndex == 3) moved = _mm256_srli_epi16(high, 2);
  return _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
}
/// v | (bits 2 i and 2 i + 1 of each byte of high) << 4.
template <int kIndex>
OPENLLM_INLINE VB or_two_bits(VB v, VB high) {
  return {_mm256_or_si256(v.a, two_bits<kIndex>(high.a)),
          _mm256_or_si256(v.b, two_bits<kIndex>(high.b))};
}
OPENLLM_INLINE VB look_up(VB v, const std::uint8_t* table) {
  const __m256i t = _mm256_broadcastsi128_si256(load128(table));
  return {_mm256_shuffle_epi8(t, v.a), _mm256_shuffle_epi8(t, v.b)};
}

template <int kOffset>
OPENLLM_INLINE __m256i first_pairs8(__m256i v) {
  const __m128i order = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
  const __m256i pairs = _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(order));
  return _mm256_sub_epi16(pairs, _mm256_set1_epi16(kOffset));
}
/// Of each four bytes the first (second) two, less kOffset, as int16.
template <int kOffset>
OPENLLM_INLINE VB first_pairs(VB v) {
  return {first_pairs8<kOffset>(v.a), first_pairs8<kOffset>(v.b)};
}
template <int kOffset>
OPENLLM_INLINE VB second_pairs(VB v) {
  return first_pairs<kOffset>({_mm256_srli_epi32(v.a, 16), _mm256_srli_epi32(v.b, 16)});
}
OPENLLM_INLINE VB splat_pair(const std::int16_t* p) {
  std::int32_t two;
  __builtin_memcpy(&two, p, 4);
  return {_mm256_set1_epi32(two), _mm256_set1_epi32(two)};
}
/// acc + the products of two pairs of int16, per lane.
OPENLLM_INLINE VI dot_pairs(VB w, VB x, VI acc) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, x.a)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, x.b))};
}

OPENLLM_INLINE __m256i spread4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

/// Sums of two products in 16 bits. 8-bit codes: |code - 128| times the activation with the code's
/// sign: at most 2 * 128 * 127, which fits; unsigned codes up to 255 would not.
template <int kBits>
OPENLLM_INLINE __m256i pairs(__m256i w, __m256i a) {
  if constexpr (kBits == 8) {
    const __m256i code = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(a, code));
  } else {
    return _mm256_maddubs_epi16(w, a);
  }
}

/// init + sum over j < kCount of the products of w[j]'s bytes with the four bytes at a + 4 j, per
/// lane. As many 16-bit sums as cannot overflow are added before widening: 2 * 15 * 127 * 8, 2 * 31
/// * 127 * 4, 2 * 63 * 127 * 2 < 32768.
template <int kBits, int kCount>
OPENLLM_INLINE VI dot(const VB* w, const std::int8_t* a, VI init) {
  constexpr int kLimit = kBits == 4 ? 8 : kBits == 5 ? 4 : kBits == 6 ? 2 : 1;
  constexpr int kRun = kLimit < kCount ? kLimit : kCount;
  const __m256i ones = _mm256_set1_epi16(1);
  VI acc = init;
#pragma GCC unroll 8
  for (int j = 0; j < kCount; j += kRun) {
    const __m256i x = spread4(a + 4 * j);
    __m256i low = pairs<kBits>(w[j].a, x);
    __m256i high = pairs<kBits>(w[j].b, x);
#pragma GCC unroll 8
    for (int i = 1; i < kRun; ++i) {
      const __m256i y = spread4(a + 4 * (j + i));
      low = _mm256_add_epi16(low, pairs<kBits>(w[j + i].a, y));
      high = _mm256_add_epi16(high, pairs<kBits>(w[j + i].b, y));
    }
    acc.a = _mm256_add_epi32(acc.a, _mm256_madd_epi16(low, ones));
    acc.b = _mm256_add_epi32(acc.b, _mm256_madd_epi16(high, ones));
  }
  return acc;
}

OPENLLM_INLINE void prefetch(const unsigned char* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace
}  // namespace openllm::kernels

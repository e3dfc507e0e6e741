// What AVX512_BF16 adds to the AVX-512 kernels. simd.h must come before the kernels written over
// it.
// clang-format off
#include "kernels/isa_tables.h"
#include "kernels/avx512/simd.h"
#include "kernels/common/tiles.h"
#include "kernels/common/rows.h"
// clang-format on

namespace openllm::kernels {
namespace {

/// Each lane adds the products of a pair of columns in one instruction.
struct PairProducts {
  template <int kRows, int kTiles>
  static OPENLLM_INLINE void columns(const LinearArgs& args, const unsigned char* const* w,
                                     std::int64_t row, std::int64_t k_begin, std::int64_t k_end,
                                     VF (&acc)[kTiles][kRows]) {
    const std::int64_t stride = (args.weight->k + 1) / 2 * 2;
    const std::uint16_t* x[kRows];
    for (int m = 0; m < kRows; ++m) x[m] = args.x_bf16 + (row + m) * stride;
    for (std::int64_t k = k_begin; k < k_end; k += 2) {
      __m512i v[kTiles];
#pragma GCC unroll 4
      for (int n = 0; n < kTiles; ++n) v[n] = load_bytes(w[n] + k * 32);
#pragma GCC unroll 16
      for (int m = 0; m < kRows; ++m) {
        std::int32_t pair;
        __builtin_memcpy(&pair, x[m] + k, 4);
        const __m512i a = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
        for (int n = 0; n < kTiles; ++n) {
          acc[n][m] = _mm512_dpbf16_ps(acc[n][m], reinterpret_cast<__m512bh>(v[n]),
                                       reinterpret_cast<__m512bh>(a));
        }
      }
    }
  }
};

}  // namespace

void linear_avx512_bf16(const LinearArgs* args) { DenseRows<PairProducts>::run(*args); }

void to_bf16_avx512_bf16(const float* x, std::int64_t k, std::uint16_t* out) {
  std::int64_t i = 0;
  for (; i + 16 <= k; i += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(load(x + i))));
  }
  // Lanes past the end are zero; the last pair is always whole.
  _mm256_mask_storeu_epi16(out + i, first_lanes((k - i + 1) / 2 * 2),
                           reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(load_first(x + i, k - i))));
}

}  // namespace openllm::kernels

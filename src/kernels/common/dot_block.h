#pragma once

// For instruction sets without a register block of their own.

namespace openllm::kernels {
namespace {

/// sums[m] += codes times activations of row m, kRow bytes after those of row m - 1.
template <int kBits, int kCount, int kRow, int kRows>
OPENLLM_INLINE void dot_rows(const VB* w, const std::int8_t* a, VI (&sums)[kRows]) {
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) sums[m] = dot<kBits, kCount>(w, a + m * kRow, sums[m]);
}

/// sums[n][m] += codes of tile n times activations of row m.
template <int kBits, int kCount, int kRows, int kTiles>
OPENLLM_INLINE void dot_block(const unsigned char* const* w, const std::int8_t* const* a,
                              VI (&sums)[kTiles][kRows]) {
  for (int n = 0; n < kTiles; ++n) {
    VB codes[kCount];
    for (int j = 0; j < kCount; ++j) codes[j] = load_bytes(w[n] + 64 * j);
    for (int m = 0; m < kRows; ++m) {
      sums[n][m] = dot<kBits, kCount>(codes, a[m], sums[n][m]);
    }
  }
}

}  // namespace
}  // namespace openllm::kernels

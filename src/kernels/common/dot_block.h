#pragma once

// For instruction sets without a register block of their own.

namespace openllm::kernels {
namespace {

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

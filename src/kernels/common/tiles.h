#pragma once

// A tile's 16 outputs of some rows, in memory.

namespace openllm::kernels {
namespace {

OPENLLM_INLINE VF load_some(const float* p, std::int64_t n) {
  return n == 16 ? load(p) : load_first(p, n);
}
OPENLLM_INLINE void store_some(float* p, VF v, std::int64_t n) {
  if (n == 16) {
    store(p, v);
  } else {
    store_first(p, v, n);
  }
}

/// Stores a tile's sums, with the bias.
template <int kRows>
OPENLLM_INLINE void finish_tile(const LinearArgs& args, std::int64_t tile, std::int64_t row,
                                const VF* acc, bool last = true) {
  const std::int64_t first = tile * kTileRows;
  const std::int64_t left = args.weight->n_rows - first;
  const std::int64_t n = left < kTileRows ? left : kTileRows;
  const bool biased = last && args.bias != nullptr;
  VF bias = zero();
  if (biased) bias = load_some(args.bias + first, n);
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
    store_some(args.out + (row + m) * args.out_stride + first, biased ? add(acc[m], bias) : acc[m],
               n);
  }
}

/// Sums that rest in `out` between two ranges of k; zeros for the first.
template <int kRows>
OPENLLM_INLINE void resume_tile(const LinearArgs& args, std::int64_t tile, std::int64_t row,
                                bool first_range, VF* acc) {
  const std::int64_t first = tile * kTileRows;
  const std::int64_t left = args.weight->n_rows - first;
  const std::int64_t n = left < kTileRows ? left : kTileRows;
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
    acc[m] = first_range ? zero() : load_some(args.out + (row + m) * args.out_stride + first, n);
  }
}

}  // namespace
}  // namespace openllm::kernels

#pragma once

// How products of plain weights are cut into register blocks of rows and tiles, and into ranges of
// k.

namespace openllm::kernels {
namespace {

/// `Inner::columns` adds the products of columns [k_begin, k_end) to a block's sums, in the order
/// of k whatever the number of rows and tiles. k_begin is even.
template <typename Inner>
struct DenseRows {
  /// Columns [k_begin, k_end); between calls the sums rest in `out`.
  template <int kRows, int kTiles>
  static void block(const LinearArgs& args, std::int64_t tile, std::int64_t row,
                    std::int64_t k_begin, std::int64_t k_end) {
    const PackedMatrix& weight = *args.weight;
    const unsigned char* w[kTiles];
    VF acc[kTiles][kRows];
#pragma GCC unroll 4
    for (int n = 0; n < kTiles; ++n) {
      w[n] = weight.data + (tile + n) * weight.tile_bytes;
      resume_tile<kRows>(args, tile + n, row, k_begin == 0, acc[n]);
    }
    Inner::template columns<kRows, kTiles>(args, w, row, k_begin, k_end, acc);
#pragma GCC unroll 4
    for (int n = 0; n < kTiles; ++n) {
      finish_tile<kRows>(args, tile + n, row, acc[n], k_end == weight.k);
    }
  }

  template <int kTiles>
  static void all_rows(const LinearArgs& args, std::int64_t tile, std::int64_t k_begin,
                       std::int64_t k_end) {
    std::int64_t row = args.row_begin;
    for (; row + kDenseRows <= args.row_end; row += kDenseRows) {
      block<kDenseRows, kTiles>(args, tile, row, k_begin, k_end);
    }
    for (; row + 4 <= args.row_end; row += 4) block<4, kTiles>(args, tile, row, k_begin, k_end);
    switch (args.row_end - row) {
      case 3:
        return block<3, kTiles>(args, tile, row, k_begin, k_end);
      case 2:
        return block<2, kTiles>(args, tile, row, k_begin, k_end);
      case 1:
        return block<1, kTiles>(args, tile, row, k_begin, k_end);
      default:
        return;
    }
  }

  static void run(const LinearArgs& args) {
    const std::int64_t k = args.weight->k;
    const bool few = args.row_end - args.row_begin <= 2;
    // Two tiles' columns of a step fit the first-level cache when rows reuse them.
    const std::int64_t step = few ? k : std::int64_t{192};
    std::int64_t tile = args.tile_begin;
    if (few) {  // more tiles at once hide the latency of the sums
      for (; tile + 4 <= args.tile_end; tile += 4) all_rows_few<4>(args, tile);
    }
    for (; tile < args.tile_end;) {
      const bool full = args.tile_end - tile >= kDenseTiles;
      for (std::int64_t begin = 0; begin < k; begin += step) {
        const std::int64_t end = begin + step < k ? begin + step : k;
        if (full) {
          all_rows<kDenseTiles>(args, tile, begin, end);
        } else {
          all_rows<1>(args, tile, begin, end);
        }
      }
      tile += full ? kDenseTiles : 1;
    }
  }

  template <int kTiles>
  static void all_rows_few(const LinearArgs& args, std::int64_t tile) {
    if (args.row_end - args.row_begin == 2) {
      block<2, kTiles>(args, tile, args.row_begin, 0, args.weight->k);
    } else if (args.row_end - args.row_begin == 1) {
      block<1, kTiles>(args, tile, args.row_begin, 0, args.weight->k);
    }
  }
};

}  // namespace
}  // namespace openllm::kernels

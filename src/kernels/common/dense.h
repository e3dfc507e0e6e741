#pragma once

// Plain weights times f32 activations: acc = fma(w[k], x[k], acc) for k = 0, 1, ... whatever the
// number of rows.

namespace openllm::kernels {
namespace {

template <PackFormat kFormat>
struct DenseKernel {
  static constexpr std::int64_t kBytes = kFormat == PackFormat::kF32 ? 4 : 2;

  static OPENLLM_INLINE VF load_weights(const unsigned char* p) {
    if constexpr (kFormat == PackFormat::kF32) {
      return load(reinterpret_cast<const float*>(p));
    } else if constexpr (kFormat == PackFormat::kF16) {
      return load_f16(p);
    } else {
      return load_bf16(p);
    }
  }

  /// Columns [k_begin, k_end); between calls the sums rest in `out`.
  template <int kRows, int kTiles>
  static void block(const LinearArgs& args, std::int64_t tile, std::int64_t row,
                    std::int64_t k_begin, std::int64_t k_end) {
    const PackedMatrix& weight = *args.weight;
    const unsigned char* w[kTiles];
    const float* x[kRows];
    VF acc[kTiles][kRows];
    for (int m = 0; m < kRows; ++m) x[m] = args.x + (row + m) * args.x_stride;
#pragma GCC unroll 4
    for (int n = 0; n < kTiles; ++n) {
      w[n] = weight.data + (tile + n) * weight.tile_bytes;
      resume_tile<kRows>(args, tile + n, row, k_begin == 0, acc[n]);
    }
    for (std::int64_t k = k_begin; k < k_end; ++k) {
      VF v[kTiles];
#pragma GCC unroll 4
      for (int n = 0; n < kTiles; ++n) v[n] = load_weights(w[n] + k * 16 * kBytes);
#pragma GCC unroll 16
      for (int m = 0; m < kRows; ++m) {
        const VF a = splat(x[m][k]);
#pragma GCC unroll 4
        for (int n = 0; n < kTiles; ++n) acc[n][m] = fma(v[n], a, acc[n][m]);
      }
    }
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

void linear(const LinearArgs* args) {
  switch (args->weight->format) {
    case PackFormat::kF32:
      return DenseKernel<PackFormat::kF32>::run(*args);
    case PackFormat::kF16:
      return DenseKernel<PackFormat::kF16>::run(*args);
    case PackFormat::kBF16:
      return DenseKernel<PackFormat::kBF16>::run(*args);
    case PackFormat::kQ4_0:
      return QuantKernel<PackFormat::kQ4_0>::run(*args);
    case PackFormat::kQ4_1:
      return QuantKernel<PackFormat::kQ4_1>::run(*args);
    case PackFormat::kQ5_0:
      return QuantKernel<PackFormat::kQ5_0>::run(*args);
    case PackFormat::kQ5_1:
      return QuantKernel<PackFormat::kQ5_1>::run(*args);
    case PackFormat::kQ8_0:
      return QuantKernel<PackFormat::kQ8_0>::run(*args);
    case PackFormat::kQ2_K:
      return QuantKernel<PackFormat::kQ2_K>::run(*args);
    case PackFormat::kQ3_K:
      return QuantKernel<PackFormat::kQ3_K>::run(*args);
    case PackFormat::kQ4_K:
      return QuantKernel<PackFormat::kQ4_K>::run(*args);
    case PackFormat::kQ5_K:
      return QuantKernel<PackFormat::kQ5_K>::run(*args);
    case PackFormat::kQ6_K:
      return QuantKernel<PackFormat::kQ6_K>::run(*args);
    case PackFormat::kIQ4_NL:
      return QuantKernel<PackFormat::kIQ4_NL>::run(*args);
    case PackFormat::kIQ4_XS:
      return QuantKernel<PackFormat::kIQ4_XS>::run(*args);
    case PackFormat::kMXFP4:
      return QuantKernel<PackFormat::kMXFP4>::run(*args);
  }
}

}  // namespace
}  // namespace openllm::kernels

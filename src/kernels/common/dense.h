#pragma once

// Plain weights times f32 activations: acc = fma(w[k], x[k], acc) for k = 0, 1, ... whatever the
// number of rows.

namespace openllm::kernels {
namespace {

template <PackFormat kFormat>
struct Fma {
  /// Columns that lie together in memory.
  static constexpr int kStep = kFormat == PackFormat::kBF16 ? 2 : 1;
  static constexpr std::int64_t kColumnBytes = kFormat == PackFormat::kF32 ? 64 : 32;

  static OPENLLM_INLINE void load_weights(const unsigned char* p, VF (&v)[kStep]) {
    if constexpr (kFormat == PackFormat::kF32) {
      v[0] = load(reinterpret_cast<const float*>(p));
    } else if constexpr (kFormat == PackFormat::kF16) {
      v[0] = load_f16(p);
    } else {
      load_bf16_pairs(p, v[0], v[1]);
    }
  }

  /// kCount of the kStep columns from k on.
  template <int kCount, int kRows, int kTiles>
  static OPENLLM_INLINE void add_columns(const unsigned char* const* w, const float* const* x,
                                         std::int64_t k, VF (&acc)[kTiles][kRows]) {
    VF v[kTiles][kStep];
#pragma GCC unroll 4
    for (int n = 0; n < kTiles; ++n) load_weights(w[n] + k * kColumnBytes, v[n]);
#pragma GCC unroll 2
    for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 16
      for (int m = 0; m < kRows; ++m) {
        const VF a = splat(x[m][k + i]);
#pragma GCC unroll 4
        for (int n = 0; n < kTiles; ++n) acc[n][m] = fma(v[n][i], a, acc[n][m]);
      }
    }
  }

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void columns(const LinearArgs& args, const unsigned char* const* w,
                                     std::int64_t row, std::int64_t k_begin, std::int64_t k_end,
                                     VF (&acc)[kTiles][kRows]) {
    const float* x[kRows];
    for (int m = 0; m < kRows; ++m) x[m] = args.x + (row + m) * args.x_stride;
    std::int64_t k = k_begin;
    for (; k + kStep <= k_end; k += kStep) add_columns<kStep>(w, x, k, acc);
    if (kStep > 1 && k < k_end) add_columns<1>(w, x, k, acc);
  }
};

/// Codes of floats: the weights that they stand for, exactly, times f32 activations in the same
/// order as plain weights.
template <PackFormat kFormat>
struct CodedFma {
  static constexpr PackTraits kTraits = kPackTraits[static_cast<int>(kFormat)];
  static constexpr std::int64_t kPairBytes = kTraits.bits == 8 ? 32 : 16;  ///< Of two columns.

  static OPENLLM_INLINE void load_pair(const unsigned char* p, VF (&v)[2]) {
    if constexpr (kTraits.floats == FloatCode::kE4M3) {
      v[0] = load_e4m3(p);
      v[1] = load_e4m3(p + 16);
    } else if constexpr (kTraits.floats == FloatCode::kE5M2) {
      v[0] = load_e5m2(p);
      v[1] = load_e5m2(p + 16);
    } else {
      look_up_pair(p, kTraits.floats == FloatCode::kNF4 ? kNf4Floats : kFp4Floats, v[0], v[1]);
    }
  }

  /// k_begin and k_end are even, as all of k is a multiple of 32.
  template <int kRows, int kTiles>
  static OPENLLM_INLINE void columns(const LinearArgs& args, const unsigned char* const* w,
                                     std::int64_t row, std::int64_t k_begin, std::int64_t k_end,
                                     VF (&acc)[kTiles][kRows]) {
    const float* x[kRows];
    for (int m = 0; m < kRows; ++m) x[m] = args.x + (row + m) * args.x_stride;
    for (std::int64_t k = k_begin; k < k_end; k += 2) {
      VF v[kTiles][2];
#pragma GCC unroll 4
      for (int n = 0; n < kTiles; ++n) {
        load_pair(w[n] + k / 2 * kPairBytes, v[n]);
        const unsigned char* scales = w[n] + args.weight->codes_bytes + k / kGroup * 64;
        const VF scale = load(reinterpret_cast<const float*>(scales));
        v[n][0] = mul(scale, v[n][0]);
        v[n][1] = mul(scale, v[n][1]);
      }
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
#pragma GCC unroll 16
        for (int m = 0; m < kRows; ++m) {
          const VF a = splat(x[m][k + i]);
#pragma GCC unroll 4
          for (int n = 0; n < kTiles; ++n) acc[n][m] = fma(v[n][i], a, acc[n][m]);
        }
      }
    }
  }
};

void linear(const LinearArgs* args) {
  switch (args->weight->format) {
    case PackFormat::kF32:
      return DenseRows<Fma<PackFormat::kF32>>::run(*args);
    case PackFormat::kF16:
      return DenseRows<Fma<PackFormat::kF16>>::run(*args);
    case PackFormat::kBF16:
      return DenseRows<Fma<PackFormat::kBF16>>::run(*args);
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
    case PackFormat::kU4:
      return QuantKernel<PackFormat::kU4>::run(*args);
    case PackFormat::kU8:
      return QuantKernel<PackFormat::kU8>::run(*args);
    case PackFormat::kAffine4:
      return QuantKernel<PackFormat::kAffine4>::run(*args);
    case PackFormat::kAffine8:
      return QuantKernel<PackFormat::kAffine8>::run(*args);
    case PackFormat::kI8By16:
      return QuantKernel<PackFormat::kI8By16>::run(*args);
    case PackFormat::kE2M1By16:
      return QuantKernel<PackFormat::kE2M1By16>::run(*args);
    case PackFormat::kE4M3:
      return DenseRows<CodedFma<PackFormat::kE4M3>>::run(*args);
    case PackFormat::kE5M2:
      return DenseRows<CodedFma<PackFormat::kE5M2>>::run(*args);
    case PackFormat::kNF4:
      return DenseRows<CodedFma<PackFormat::kNF4>>::run(*args);
    case PackFormat::kFP4:
      return DenseRows<CodedFma<PackFormat::kFP4>>::run(*args);
  }
}

}  // namespace
}  // namespace openllm::kernels

#pragma once

// Quantised weights times integer activations. A group of 32 gives an exact integer sum per output
// (with two planes: the highs' sum times 256 and the lows', below 2^28); then, in the order of the
// groups, acc = fma(sum, weight scale * activation scale, acc) and, with minima, acc = fma(min,
// activation sum, acc). Every path below does just that, so the result does not depend on the
// number of rows.

namespace openllm::kernels {
namespace {

/// What rounding leaves over, in 256ths.
OPENLLM_INLINE VF low_plane(VF v) {
  const VF rest = mul(sub(v, round_even(v)), splat(256.0F));
  return max(min(rest, splat(127.0F)), splat(-127.0F));
}

/// One group: codes, scale and sums go to place `g` of row `row`.
OPENLLM_INLINE void quantise_group(VF a, VF b, std::int64_t k, std::int64_t row, std::int64_t g,
                                   const QuantRows& out) {
  const float largest = max_lane(max(abs(a), abs(b)));
  float scale = largest / 127.0F;
  // A scale near the end of the normal range has no usable inverse: such a group counts as zero.
  const float inverse = scale > 1e-35F ? 127.0F / largest : 0.0F;
  a = mul(a, splat(inverse));
  b = mul(b, splat(inverse));
  const std::int64_t plane = out.by_group ? kGroup : k;
  std::int8_t* q = out.by_group ? out.codes + (g * out.n_rows + row) * out.n_planes * kGroup
                                : out.codes + row * out.n_planes * k + g * kGroup;
  store_i8(q, a);
  store_i8(q + 16, b);
  std::int32_t first = sum_bytes16(q);
  std::int32_t second = sum_bytes16(q + 16);
  if (out.n_planes == 2) {
    store_i8(q + plane, low_plane(a));
    store_i8(q + plane + 16, low_plane(b));
    first = first * 256 + sum_bytes16(q + plane);
    second = second * 256 + sum_bytes16(q + plane + 16);
    scale /= 256.0F;
  }
  const std::int64_t at = out.by_group ? g * out.n_rows + row : row * (k / kGroup) + g;
  out.scales[at] = scale;
  out.neg_sums[at] = -(first + second);
  out.neg_sums16[2 * at] = -first;
  out.neg_sums16[2 * at + 1] = -second;
  out.sums[at] = scale * static_cast<float>(first + second);
  out.sums16[2 * at] = scale * static_cast<float>(first);
  out.sums16[2 * at + 1] = scale * static_cast<float>(second);
}

/// Few enough to meet codes in registers, and short enough to stay in the second-level cache while
/// all the codes pass by.
bool wants_by_group(std::int64_t n_rows, std::int64_t k, int n_planes) {
  constexpr std::int64_t kCacheBytes = 512 << 10;
  return n_rows <= kDirectRows && n_rows * k * n_planes <= kCacheBytes;
}

void quantise_row(const float* x, std::int64_t k, std::int64_t row, const QuantRows* out) {
  for (std::int64_t g = 0; g < k / kGroup; ++g) {
    quantise_group(load(x + g * kGroup), load(x + g * kGroup + 16), k, row, g, *out);
  }
}

/// The codes of one group of a tile, in panel order, tables applied.
template <PackFormat kFormat>
OPENLLM_INLINE void unpack_group(const unsigned char* p, VB* w) {
  constexpr PackTraits kTraits = kPackTraits[static_cast<int>(kFormat)];
  if constexpr (kTraits.bits == 8) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) w[j] = load_bytes(p + 64 * j);
  } else {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const VB both = load_bytes(p + 64 * j);
      w[j] = low_nibbles(both);
      w[j + 4] = high_nibbles(both);
    }
  }
  if constexpr (kTraits.bits == 5) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) w[j] = or_fifth_bit(w[j], p + 256 + 8 * j);
  }
  if constexpr (kTraits.bits == 6) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const VB high = load_bytes(p + 256 + 64 * h);
      w[4 * h] = or_two_bits<0>(w[4 * h], high);
      w[4 * h + 1] = or_two_bits<1>(w[4 * h + 1], high);
      w[4 * h + 2] = or_two_bits<2>(w[4 * h + 2], high);
      w[4 * h + 3] = or_two_bits<3>(w[4 * h + 3], high);
    }
  }
  if constexpr (kTraits.table != 0) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      w[j] = look_up(w[j], kTraits.table == 1 ? kIq4Table : kMxfp4Table);
    }
  }
}

/// Scale and minimum of the 16 outputs for subgroup `s` of group `g`.
template <PackFormat kFormat>
OPENLLM_INLINE void load_scales(const unsigned char* scales, std::int64_t g, int s, VF* scale,
                                VF* minimum) {
  constexpr PackTraits kTraits = kPackTraits[static_cast<int>(kFormat)];
  constexpr std::int64_t kRecord = scale_record_bytes(kTraits);
  constexpr std::int64_t kBoth = kTraits.has_min ? 2 : 1;
  if constexpr (kTraits.scale == ScaleKind::kF16) {
    *scale = load_f16(scales + g * kRecord);
    if constexpr (kTraits.has_min) *minimum = load_f16(scales + g * kRecord + 32);
  } else if constexpr (kTraits.scale == ScaleKind::kF32) {
    *scale = load(reinterpret_cast<const float*>(scales + g * kRecord + 64 * s));
  } else if constexpr (kTraits.scale == ScaleKind::kF32Affine) {
    *scale = load(reinterpret_cast<const float*>(scales + g * kRecord));
    const VF zeros = load(reinterpret_cast<const float*>(scales + g * kRecord + 64));
    *minimum = mul(sub(zero(), *scale), zeros);
  } else if constexpr (kTraits.scale == ScaleKind::kF32Zero) {
    *scale = load(reinterpret_cast<const float*>(scales + g * kRecord));
    *minimum = mul(sub(zero(), *scale), load_i8(scales + g * kRecord + 64));
  } else {
    const unsigned char* p = scales + (g / 8) * kRecord;
    const unsigned char* q = p + 32 * kBoth + ((g % 8) * kTraits.n_sub + s) * 16 * kBoth;
    *scale = mul(load_f16(p), load_i8(q));
    if constexpr (kTraits.has_min) *minimum = mul(load_f16(p + 32), load_i8(q + 16));
  }
}

/// The activations of kRows rows.
template <int kRows, int kSub>
struct QuantBlock {
  const std::int8_t* codes[kRows];
  const float* scales[kRows];
  const std::int32_t* neg_sums[kRows];
  const float* sums[kRows];
  int n_planes;
  std::int64_t plane;  ///< From a high code to its low one.

  OPENLLM_INLINE QuantBlock(const QuantRows& q, std::int64_t row, std::int64_t k)
      : n_planes(q.n_planes), plane(k) {
    const std::int64_t n_groups = k / kGroup;
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t at = (row + m) * n_groups;
      codes[m] = q.codes + (row + m) * n_planes * k;
      scales[m] = q.scales + at;
      neg_sums[m] = kSub == 1 ? q.neg_sums + at : q.neg_sums16 + 2 * at;
      sums[m] = kSub == 1 ? q.sums + at : q.sums16 + 2 * at;
    }
  }
};

/// Few rows, by_group: all that is read for a group lies at constant distances.
template <int kRows, int kPlanes, int kSub>
struct FewRows {
  const std::int8_t* codes;
  const float* scales;
  const std::int32_t* neg_sums;
  const float* sums;

  OPENLLM_INLINE explicit FewRows(const QuantRows& q)
      : codes(q.codes),
        scales(q.scales),
        neg_sums(kSub == 1 ? q.neg_sums : q.neg_sums16),
        sums(kSub == 1 ? q.sums : q.sums16) {}

  OPENLLM_INLINE void next_group() {
    codes += kRows * kPlanes * kGroup;
    scales += kRows;
    neg_sums += kRows * kSub;
    sums += kRows * kSub;
  }
};

/// Some groups of a few tiles, unpacked: 18 to 22 KB, to stay in the first-level cache.
template <int kSub, bool kHasMin>
struct Panel {
  static constexpr std::int64_t kGroups = 16;
  alignas(64) unsigned char codes[kQuantTiles][kGroups * 512];
  alignas(64) float scales[kQuantTiles][kGroups * kSub * 16];
  alignas(64) float minima[kQuantTiles][kHasMin ? kGroups * kSub * 16 : 16];
};

/// Codes that the next panel will unpack, to be fetched while this one is multiplied.
struct NextCodes {
  const unsigned char* tiles[kQuantTiles];  ///< Null: nothing.
  std::int64_t group_bytes;

  OPENLLM_INLINE void fetch(std::int64_t group) const {
    for (const unsigned char* tile : tiles) {
      if (tile == nullptr) continue;
      const unsigned char* p = tile + group * group_bytes;
      for (std::int64_t i = 0; i < group_bytes; i += 64) prefetch(p + i);
    }
  }
};

/// A panel times many rows, in register blocks.
template <int kBits, int kSub, bool kHasMin, int kShift>
struct PanelKernel {
  using Panels = Panel<kSub, kHasMin>;

  /// The sum for codes less their offset.
  static OPENLLM_INLINE VI shift_codes(VI sum, std::int32_t neg_sum) {
    if constexpr (kShift < 0) return sum;
    return add_int(sum, splat_shifted<kShift>(neg_sum));
  }

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void group(const Panels& panel, const QuantBlock<kRows, kSub>& x,
                                   std::int64_t g, std::int64_t at, VF (&acc)[kTiles][kRows]) {
#pragma GCC unroll 2
    for (int s = 0; s < kSub; ++s) {
      VI sums[kTiles][kRows];
      const unsigned char* w[kTiles];
      const std::int8_t* a[kRows];
#pragma GCC unroll 2
      for (int n = 0; n < kTiles; ++n) {
        w[n] = panel.codes[n] + at * 512 + s * 256;
#pragma GCC unroll 8
        for (int m = 0; m < kRows; ++m) sums[n][m] = splat_shifted<-1>(0);
      }
      for (int m = 0; m < kRows; ++m) a[m] = x.codes[m] + g * kGroup + s * 16;
      dot_block<kBits, 8 / kSub, kRows, kTiles>(w, a, sums);
      if (x.n_planes == 2) {
#pragma GCC unroll 2
        for (int n = 0; n < kTiles; ++n) {
#pragma GCC unroll 8
          for (int m = 0; m < kRows; ++m) sums[n][m] = times_256(sums[n][m]);
        }
        for (int m = 0; m < kRows; ++m) a[m] += x.plane;
        dot_block<kBits, 8 / kSub, kRows, kTiles>(w, a, sums);
      }
#pragma GCC unroll 2
      for (int n = 0; n < kTiles; ++n) {
        const VF scale = load(panel.scales[n] + (at * kSub + s) * 16);
#pragma GCC unroll 8
        for (int m = 0; m < kRows; ++m) {
          VF& total = acc[n][m];
          const VI sum = shift_codes(sums[n][m], x.neg_sums[m][g * kSub + s]);
          total = fma(to_float(sum), mul(scale, splat(x.scales[m][g])), total);
          if constexpr (kHasMin) {
            const VF minimum = load(panel.minima[n] + (at * kSub + s) * 16);
            total = fma(minimum, splat(x.sums[m][g * kSub + s]), total);
          }
        }
      }
    }
  }

  template <int kRows, int kTiles>
  static void block(const Panels& panel, const NextCodes& next, const LinearArgs& args,
                    std::int64_t tile, std::int64_t row, std::int64_t g_begin, std::int64_t g_end) {
    const QuantBlock<kRows, kSub> x(*args.quant, row, args.weight->k);
    VF acc[kTiles][kRows];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
      resume_tile<kRows>(args, tile + n, row, g_begin == 0, acc[n]);
    }
    for (std::int64_t g = g_begin; g < g_end; ++g) {
      if (row == args.row_begin) next.fetch(g - g_begin);
      group<kRows, kTiles>(panel, x, g, g - g_begin, acc);
    }
    const bool last = g_end == args.weight->k / kGroup;
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) finish_tile<kRows>(args, tile + n, row, acc[n], last);
  }

  /// Blocks of nearly equal size: 8 rows are 4 and 4, not 6 and 2.
  template <int kTiles>
  static void rows(const Panels& panel, const NextCodes& next, const LinearArgs& args,
                   std::int64_t tile, std::int64_t g_begin, std::int64_t g_end) {
    std::int64_t row = args.row_begin;
    std::int64_t left = args.row_end - row;
    if constexpr (kTiles == 1 && kQuantTiles > 1) {  // the odd tile at the end: rare
      for (; left >= 3; left -= 3, row += 3)
        block<3, 1>(panel, next, args, tile, row, g_begin, g_end);
      for (; left > 0; --left, ++row) block<1, 1>(panel, next, args, tile, row, g_begin, g_end);
      return;
    }
    for (std::int64_t n = 0; left > 0; left -= n, row += n) {
      const std::int64_t n_blocks = (left + kQuantRows - 1) / kQuantRows;
      n = (left + n_blocks - 1) / n_blocks;
      rows_of_block<kTiles>(n, panel, next, args, tile, row, g_begin, g_end);
    }
  }

  template <int kRows>
  static constexpr int kIfBlock = kRows <= kQuantRows ? kRows : 1;

  template <int kTiles>
  static OPENLLM_INLINE void rows_of_block(std::int64_t n, const Panels& panel,
                                           const NextCodes& next, const LinearArgs& args,
                                           std::int64_t tile, std::int64_t row,
                                           std::int64_t g_begin, std::int64_t g_end) {
    switch (n) {
      case 6:
        return block<kIfBlock<6>, kTiles>(panel, next, args, tile, row, g_begin, g_end);
      case 5:
        return block<kIfBlock<5>, kTiles>(panel, next, args, tile, row, g_begin, g_end);
      case 4:
        return block<kIfBlock<4>, kTiles>(panel, next, args, tile, row, g_begin, g_end);
      case 3:
        return block<kIfBlock<3>, kTiles>(panel, next, args, tile, row, g_begin, g_end);
      case 2:
        return block<kIfBlock<2>, kTiles>(panel, next, args, tile, row, g_begin, g_end);
      default:
        return block<1, kTiles>(panel, next, args, tile, row, g_begin, g_end);
    }
  }
};

template <PackFormat kFormat>
struct QuantKernel {
  static constexpr PackTraits kTraits = kPackTraits[static_cast<int>(kFormat)];
  static constexpr int kSub = kTraits.n_sub;
  static constexpr int kBits = kTraits.table != 0 ? 8 : kTraits.bits;
  static constexpr int kShift = kTraits.offset_shift;
  static constexpr std::int64_t kCodes = group_bytes(kTraits);
  using Kernel = PanelKernel<kPanelBits<kBits>, kSub, kTraits.has_min, kShift>;
  using Panels = Panel<kSub, kTraits.has_min>;

  /// Adds subgroup `s` of a group to the rows' sums.
  template <int kPlanes, int kRows>
  static OPENLLM_INLINE void accumulate(const VB* w, const FewRows<kRows, kPlanes, kSub>& x, int s,
                                        VF scale, VF minimum, VF (&acc)[kRows]) {
    constexpr int kRow = kPlanes * static_cast<int>(kGroup);
    const std::int8_t* a = x.codes + s * 16;
    VI sums[kRows];
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) sums[m] = splat_shifted<-1>(0);
    dot_rows<kBits, 8 / kSub, kRow>(w + s * 4, a, sums);
    if constexpr (kPlanes == 2 && kRows < 4) {
      // Sums of their own: few long chains would leave the multipliers waiting.
      VI low[kRows];
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) low[m] = splat_shifted<-1>(0);
      dot_rows<kBits, 8 / kSub, kRow>(w + s * 4, a + kGroup, low);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) sums[m] = add_int(times_256(sums[m]), low[m]);
    } else if constexpr (kPlanes == 2) {
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) sums[m] = times_256(sums[m]);
      dot_rows<kBits, 8 / kSub, kRow>(w + s * 4, a + kGroup, sums);
    }
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      const VI sum = Kernel::shift_codes(sums[m], x.neg_sums[m * kSub + s]);
      acc[m] = fma(to_float(sum), mul(scale, splat(x.scales[m])), acc[m]);
      if constexpr (kTraits.has_min) acc[m] = fma(minimum, splat(x.sums[m * kSub + s]), acc[m]);
    }
  }

  /// Fetches weights some kilobytes before their use, a group's share at a time: the hardware
  /// follows a stream too late at every new page and knows nothing of the end of the range.
  struct Ahead {
    static constexpr std::int64_t kDistance = 4096;
    std::int64_t step;
    const unsigned char* end;

    /// Up to the end of the matrix, not of the range: the next range is likely read next, by this
    /// thread or another.
    explicit Ahead(const LinearArgs& args)
        : step(args.weight->tile_bytes / (args.weight->k / kGroup)),
          end(args.weight->data +
              (args.weight->n_rows + kTileRows - 1) / kTileRows * args.weight->tile_bytes) {
      const unsigned char* p = args.weight->data + args.tile_begin * args.weight->tile_bytes;
      for (std::int64_t i = 0; i < kDistance && p + i < end; i += 64) prefetch(p + i);
    }
    OPENLLM_INLINE void fetch(const unsigned char* tile, std::int64_t g) const {
      const unsigned char* p = tile + g * step + kDistance;
      if (p >= end) return;
#pragma GCC unroll 10
      for (int i = 0; i * 64 < kCodes + 64; ++i) prefetch(p + 64 * i);
    }
  };

  /// All of a few rows: codes go from memory through registers, once.
  template <int kRows, int kPlanes>
  static void direct(const LinearArgs& args) {
    const PackedMatrix& weight = *args.weight;
    const std::int64_t n_groups = weight.k / kGroup;
    const Ahead ahead(args);
    for (std::int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) {
      const unsigned char* codes = weight.data + tile * weight.tile_bytes;
      const unsigned char* scales = codes + weight.codes_bytes;
      FewRows<kRows, kPlanes, kSub> x(*args.quant);
      VF acc[kRows];
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) acc[m] = zero();
      for (std::int64_t g = 0; g < n_groups; ++g, x.next_group()) {
        ahead.fetch(codes, g);
        VB w[8];
        unpack_group<kFormat>(codes + g * kCodes, w);
#pragma GCC unroll 2
        for (int s = 0; s < kSub; ++s) {
          VF scale = zero();
          VF minimum = zero();
          load_scales<kFormat>(scales, g, s, &scale, &minimum);
          accumulate(w, x, s, scale, minimum, acc);
        }
      }
      finish_tile<kRows>(args, tile, 0, acc);
    }
  }

  static void fill(Panels& panel, const LinearArgs& args, const Ahead& ahead, std::int64_t tile,
                   int n_tiles, std::int64_t g_begin, std::int64_t g_end) {
    const PackedMatrix& weight = *args.weight;
    for (int n = 0; n < n_tiles; ++n) {
      const unsigned char* codes = weight.data + (tile + n) * weight.tile_bytes;
      const unsigned char* scales = codes + weight.codes_bytes;
      for (std::int64_t g = g_begin; g < g_end; ++g) {
        ahead.fetch(codes, g);
        VB w[8];
        unpack_group<kFormat>(codes + g * kCodes, w);
        unsigned char* to = panel.codes[n] + (g - g_begin) * 512;
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) store_bytes(to + 64 * j, w[j]);
        for (int s = 0; s < kSub; ++s) {
          VF scale = zero();
          VF minimum = zero();
          load_scales<kFormat>(scales, g, s, &scale, &minimum);
          const std::int64_t at = ((g - g_begin) * kSub + s) * 16;
          store(panel.scales[n] + at, scale);
          if constexpr (kTraits.has_min) store(panel.minima[n] + at, minimum);
        }
      }
    }
  }

  /// The codes after group `g` of the tiles at `tile`: the same tiles' next groups, or the next
  /// tiles' first.
  static NextCodes next_codes(const PackedMatrix& weight, std::int64_t tile, std::int64_t g) {
    const bool same = g + Panels::kGroups <= weight.k / kGroup;
    const std::int64_t n_tiles = (weight.n_rows + kTileRows - 1) / kTileRows;
    NextCodes next{};
    next.group_bytes = kCodes;
    for (int n = 0; n < kQuantTiles; ++n) {
      const std::int64_t t = same ? tile + n : tile + kQuantTiles + n;
      if (t < n_tiles)
        next.tiles[n] = weight.data + t * weight.tile_bytes + (same ? g * kCodes : 0);
    }
    return next;
  }

  /// Many rows: codes are unpacked once and stay in the first-level cache while the rows pass by.
  static void many_rows(const LinearArgs& args) {
    const std::int64_t n_groups = args.weight->k / kGroup;
    const Ahead ahead(args);
    Panels panel;
    for (std::int64_t tile = args.tile_begin; tile < args.tile_end; tile += kQuantTiles) {
      const std::int64_t left = args.tile_end - tile;
      const int n_tiles = left < kQuantTiles ? static_cast<int>(left) : kQuantTiles;
      for (std::int64_t g = 0; g < n_groups; g += Panels::kGroups) {
        const std::int64_t g_end = g + Panels::kGroups < n_groups ? g + Panels::kGroups : n_groups;
        fill(panel, args, ahead, tile, n_tiles, g, g_end);
        const NextCodes next = next_codes(*args.weight, tile, g_end);
        if (n_tiles == kQuantTiles) {
          Kernel::template rows<kQuantTiles>(panel, next, args, tile, g, g_end);
        } else {
          Kernel::template rows<1>(panel, next, args, tile, g, g_end);
        }
      }
    }
  }

  /// Numbers of rows that `wants_by_group` never lets through need no code of their own.
  template <int kRows>
  static constexpr int kIfFew = kRows <= kDirectRows ? kRows : 1;

  template <int kPlanes>
  static void few_rows(const LinearArgs& args) {
    switch (args.quant->n_rows) {
      case 1:
        return direct<1, kPlanes>(args);
      case 2:
        return direct<kIfFew<2>, kPlanes>(args);
      case 3:
        return direct<kIfFew<3>, kPlanes>(args);
      case 4:
        return direct<kIfFew<4>, kPlanes>(args);
      case 5:
        return direct<kIfFew<5>, kPlanes>(args);
      case 6:
        return direct<kIfFew<6>, kPlanes>(args);
      case 7:
        return direct<kIfFew<7>, kPlanes>(args);
      case 8:
        return direct<kIfFew<8>, kPlanes>(args);
      default:
        return;
    }
  }

  static void run(const LinearArgs& args) {
    if (!args.quant->by_group) return many_rows(args);
    if (args.quant->n_planes == 2) return few_rows<2>(args);
    few_rows<1>(args);
  }
};

}  // namespace
}  // namespace openllm::kernels

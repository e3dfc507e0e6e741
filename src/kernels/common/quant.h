#pragma once

// Quantised weights times integer activations. A group of 32 (or half of it, as the format has its
// scales) gives an exact integer sum per output. Codes of one byte have a scale for each group: in
// the order of the groups, acc = fma(sum, weight scale * activation scale, acc) and, with minima,
// acc = fma(min, activation sum, acc). Codes of two bytes have one for each span of 256: part =
// fma(sum, weight scale, part), part = fma(min, sum of codes, part), and behind the span acc =
// fma(part, activation scale, acc). Every path below does just that, so the result does not depend
// on the number of rows.

namespace openllm::kernels {
namespace {

/// What rounding leaves over, in 256ths.
OPENLLM_INLINE VF low_byte(VF v, VF high) {
  const VF rest = mul(sub(v, high), splat(256.0F));
  return round_even(max(min(rest, splat(127.0F)), splat(-127.0F)));
}

/// A scale near the end of the normal range has no usable inverse: such numbers count as zero.
OPENLLM_INLINE float inverse_scale(float largest) {
  return largest / 127.0F > 1e-35F ? 127.0F / largest : 0.0F;
}

/// One group as bytes: codes, scale and sums go to place `g` of row `row`.
OPENLLM_INLINE void quantise_group(VF a, VF b, std::int64_t k, std::int64_t row, std::int64_t g,
                                   const QuantRows& out) {
  const float largest = max_lane(max(abs(a), abs(b)));
  const float scale = largest / 127.0F;
  const VF inverse = splat(inverse_scale(largest));
  const std::int64_t at = out.by_group ? g * out.n_rows + row : row * (k / kGroup) + g;
  std::int8_t* q = out.codes + at * kGroup;
  store_i8(q, mul(a, inverse));
  store_i8(q + 16, mul(b, inverse));
  const std::int32_t first = sum_bytes16(q);
  const std::int32_t second = sum_bytes16(q + 16);
  out.scales[at] = scale;
  out.neg_sums[at] = -(first + second);
  out.neg_sums16[2 * at] = -first;
  out.neg_sums16[2 * at + 1] = -second;
  out.sums[at] = scale * static_cast<float>(first + second);
  out.sums16[2 * at] = scale * static_cast<float>(first);
  out.sums16[2 * at + 1] = scale * static_cast<float>(second);
}

/// 16 codes of two bytes; returns their sum.
OPENLLM_INLINE float store_wide(VF v, const QuantRows& out, std::int8_t* high, std::int8_t* low,
                                std::int16_t* both) {
  const VF high_code = round_even(v);
  const VF low_code = low_byte(v, high_code);
  const VF code = fma(high_code, splat(256.0F), low_code);
  if (out.by_group) {
    store_i8(high, high_code);
    store_i8(low, low_code);
  } else {
    store_i16(both, code);
  }
  return sum_lanes(code);  // exact: below 2^24
}

/// The groups from `g` to `g_end`, a span, in codes of two bytes.
OPENLLM_INLINE void quantise_span(const float* x, std::int64_t k, std::int64_t row, std::int64_t g,
                                  std::int64_t g_end, const QuantRows& out) {
  VF most = zero();
  for (std::int64_t i = g * kGroup; i < g_end * kGroup; i += 16) most = max(abs(load(x + i)), most);
  const float largest = max_lane(most);
  const VF inverse = splat(inverse_scale(largest));
  const std::int64_t span = g / kSpanGroups;
  const std::int64_t n_spans = (k / kGroup + kSpanGroups - 1) / kSpanGroups;
  out.scales[out.by_group ? span * out.n_rows + row : row * n_spans + span] = largest / kWideMost;
  for (; g < g_end; ++g) {
    const std::int64_t at = out.by_group ? g * out.n_rows + row : row * (k / kGroup) + g;
    std::int8_t* bytes = out.codes + at * 2 * kGroup;
    auto* both = reinterpret_cast<std::int16_t*>(bytes);
    const float* from = x + g * kGroup;
    const float first = store_wide(mul(load(from), inverse), out, bytes, bytes + kGroup, both);
    const float second =
        store_wide(mul(load(from + 16), inverse), out, bytes + 16, bytes + kGroup + 16, both + 16);
    out.sums[at] = first + second;
    out.sums16[2 * at] = first;
    out.sums16[2 * at + 1] = second;
    if (!out.by_group) continue;
    out.neg_sums[at] = -static_cast<std::int32_t>(first + second);
    out.neg_sums16[2 * at] = -static_cast<std::int32_t>(first);
    out.neg_sums16[2 * at + 1] = -static_cast<std::int32_t>(second);
  }
}

/// Few enough to meet codes in registers, and short enough to stay in the second-level cache while
/// all the codes pass by.
bool wants_by_group(std::int64_t n_rows, std::int64_t k, int n_planes) {
  constexpr std::int64_t kCacheBytes = 512 << 10;
  return n_rows <= kDirectRows && n_rows * k * n_planes <= kCacheBytes;
}

void quantise_row(const float* x, std::int64_t k, std::int64_t row, const QuantRows* out) {
  const std::int64_t n_groups = k / kGroup;
  if (out->n_planes == 2) {
    for (std::int64_t g = 0; g < n_groups; g += kSpanGroups) {
      const std::int64_t g_end = g + kSpanGroups < n_groups ? g + kSpanGroups : n_groups;
      quantise_span(x, k, row, g, g_end, *out);
    }
    return;
  }
  for (std::int64_t g = 0; g < n_groups; ++g) {
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

/// The activations of kRows rows, in bytes.
template <int kRows, int kSub>
struct QuantBlock {
  const std::int8_t* codes[kRows];
  const float* scales[kRows];
  const std::int32_t* neg_sums[kRows];
  const float* sums[kRows];

  OPENLLM_INLINE QuantBlock(const QuantRows& q, std::int64_t row, std::int64_t k) {
    const std::int64_t n_groups = k / kGroup;
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t at = (row + m) * n_groups;
      codes[m] = q.codes + (row + m) * k;
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
    if (kPlanes == 1) scales += kRows;
    neg_sums += kRows * kSub;
    sums += kRows * kSub;
  }
};

/// Some groups of a few tiles, unpacked: 18 to 22 KB, to stay in the first-level cache.
template <int kSub, bool kHasMin, bool kIsWide>
struct Panel {
  static constexpr int kSubs = kSub;
  static constexpr bool kMinima = kHasMin;
  static constexpr bool kWide = kIsWide;
  static constexpr std::int64_t kGroups = kIsWide ? kSpanGroups : 2 * kSpanGroups;
  static constexpr std::int64_t kGroupBytes = kIsWide ? 1024 : 512;
  /// Panel order; wide ones less their offset, as int16, [k / 2][row][k % 2].
  alignas(64) unsigned char codes[kQuantTiles][kGroups * kGroupBytes];
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

/// A panel times many rows, cut into register blocks. `Inner::groups` adds the products of the
/// panel's groups, which are [g_begin, g_end) of the rows, to a block's sums.
template <typename Inner>
struct PanelRows {
  using Panels = typename Inner::Panels;

  template <int kRows, int kTiles>
  static void block(const Panels& panel, const NextCodes& next, const LinearArgs& args,
                    std::int64_t tile, std::int64_t row, std::int64_t g_begin, std::int64_t g_end) {
    VF acc[kTiles][kRows];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
      resume_tile<kRows>(args, tile + n, row, g_begin == 0, acc[n]);
    }
    const NextCodes* fetched = row == args.row_begin ? &next : nullptr;
    Inner::template groups<kRows, kTiles>(panel, fetched, args, row, g_begin, g_end, acc);
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

/// The sum for codes less their offset.
template <int kShift>
OPENLLM_INLINE VI shift_codes(VI sum, std::int32_t neg_sum) {
  if constexpr (kShift < 0) return sum;
  return add_int(sum, splat_shifted<kShift>(neg_sum));
}

/// Codes of one byte.
template <int kBits, int kSub, bool kHasMin, int kShift>
struct ByteProducts {
  using Panels = Panel<kSub, kHasMin, false>;

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void groups(const Panels& panel, const NextCodes* next,
                                    const LinearArgs& args, std::int64_t row, std::int64_t g_begin,
                                    std::int64_t g_end, VF (&acc)[kTiles][kRows]) {
    const QuantBlock<kRows, kSub> x(*args.quant, row, args.weight->k);
    for (std::int64_t g = g_begin; g < g_end; ++g) {
      if (next != nullptr) next->fetch(g - g_begin);
#pragma GCC unroll 2
      for (int s = 0; s < kSub; ++s) subgroup(panel, x, g, (g - g_begin) * kSub + s, s, acc);
    }
  }

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void subgroup(const Panels& panel, const QuantBlock<kRows, kSub>& x,
                                      std::int64_t g, std::int64_t at, int s,
                                      VF (&acc)[kTiles][kRows]) {
    VI sums[kTiles][kRows];
    const unsigned char* w[kTiles];
    const std::int8_t* a[kRows];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
      w[n] = panel.codes[n] + at * (512 / kSub);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) sums[n][m] = splat_shifted<-1>(0);
    }
    for (int m = 0; m < kRows; ++m) a[m] = x.codes[m] + g * kGroup + s * 16;
    dot_block<kBits, 8 / kSub, kRows, kTiles>(w, a, sums);
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
      const VF scale = load(panel.scales[n] + at * 16);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) {
        VF& total = acc[n][m];
        const VI sum = shift_codes<kShift>(sums[n][m], x.neg_sums[m][g * kSub + s]);
        total = fma(to_float(sum), mul(scale, splat(x.scales[m][g])), total);
        if constexpr (kHasMin) {
          const VF minimum = load(panel.minima[n] + at * 16);
          total = fma(minimum, splat(x.sums[m][g * kSub + s]), total);
        }
      }
    }
  }
};

/// Codes of two bytes. A panel is one span.
template <int kSub, bool kHasMin>
struct WideProducts {
  using Panels = Panel<kSub, kHasMin, true>;

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void groups(const Panels& panel, const NextCodes* next,
                                    const LinearArgs& args, std::int64_t row, std::int64_t g_begin,
                                    std::int64_t g_end, VF (&acc)[kTiles][kRows]) {
    const QuantRows& q = *args.quant;
    const std::int64_t n_groups = args.weight->k / kGroup;
    const std::int16_t* codes[kRows];
    const float* sums[kRows];
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t at = (row + m) * n_groups + g_begin;
      codes[m] = reinterpret_cast<const std::int16_t*>(q.codes) + at * kGroup;
      sums[m] = kSub == 1 ? q.sums + at : q.sums16 + 2 * at;
    }
    VF part[kTiles][kRows];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) part[n][m] = zero();
    }
    const std::int64_t n_subs = (g_end - g_begin) * kSub;
    for (std::int64_t at = 0; at < n_subs; ++at) {
      if (next != nullptr && at % kSub == 0) next->fetch(at / kSub);
      subgroup(panel, codes, sums, at, part);
    }
    const std::int64_t n_spans = (n_groups + kSpanGroups - 1) / kSpanGroups;
    const float* scales = q.scales + row * n_spans + g_begin / kSpanGroups;
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      const VF scale = splat(scales[m * n_spans]);
#pragma GCC unroll 2
      for (int n = 0; n < kTiles; ++n) acc[n][m] = fma(part[n][m], scale, acc[n][m]);
    }
  }

  template <int kRows, int kTiles>
  static OPENLLM_INLINE void subgroup(const Panels& panel,
                                      const std::int16_t* const (&codes)[kRows],
                                      const float* const (&code_sums)[kRows], std::int64_t at,
                                      VF (&part)[kTiles][kRows]) {
    constexpr int kPairs = 16 / kSub;
    VI sums[kTiles][kRows];
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) sums[n][m] = splat_shifted<-1>(0);
    }
#pragma GCC unroll kPairUnroll
    for (int j = 0; j < kPairs; ++j) {
      VB w[kTiles];
#pragma GCC unroll 2
      for (int n = 0; n < kTiles; ++n) w[n] = load_bytes(panel.codes[n] + (at * kPairs + j) * 64);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) {
        const auto x = splat_pair(codes[m] + at * kPairs * 2 + 2 * j);
#pragma GCC unroll 2
        for (int n = 0; n < kTiles; ++n) sums[n][m] = dot_pairs(w[n], x, sums[n][m]);
      }
    }
#pragma GCC unroll 2
    for (int n = 0; n < kTiles; ++n) {
      const VF scale = load(panel.scales[n] + at * 16);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) {
        part[n][m] = fma(to_float(sums[n][m]), scale, part[n][m]);
        if constexpr (kHasMin) {
          const VF minimum = load(panel.minima[n] + at * 16);
          part[n][m] = fma(minimum, splat(code_sums[m][at]), part[n][m]);
        }
      }
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
  static constexpr int kOffset = kShift < 0 ? 0 : 1 << (kShift < 0 ? 0 : kShift);
  using Bytes = ByteProducts<kPanelBits<kBits>, kSub, kTraits.has_min, kShift>;
  using Wide = WideProducts<kSub, kTraits.has_min>;

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
      const VI sum = shift_codes<kShift>(sums[m], x.neg_sums[m * kSub + s]);
      const VF factor = kPlanes == 2 ? scale : mul(scale, splat(x.scales[m]));
      acc[m] = fma(to_float(sum), factor, acc[m]);
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
      if constexpr (kPlanes == 1) {
        range<kRows, kPlanes>(codes, scales, 0, n_groups, ahead, x, acc);
      } else {
        for (std::int64_t g = 0; g < n_groups; g += kSpanGroups) {
          VF part[kRows];
#pragma GCC unroll 8
          for (int m = 0; m < kRows; ++m) part[m] = zero();
          const std::int64_t g_end = g + kSpanGroups < n_groups ? g + kSpanGroups : n_groups;
          range<kRows, kPlanes>(codes, scales, g, g_end, ahead, x, part);
#pragma GCC unroll 8
          for (int m = 0; m < kRows; ++m) acc[m] = fma(part[m], splat(x.scales[m]), acc[m]);
          x.scales += kRows;
        }
      }
      finish_tile<kRows>(args, tile, 0, acc);
    }
  }

  /// Groups [g, g_end) of a tile.
  template <int kRows, int kPlanes>
  static OPENLLM_INLINE void range(const unsigned char* codes, const unsigned char* scales,
                                   std::int64_t g, std::int64_t g_end, const Ahead& ahead,
                                   FewRows<kRows, kPlanes, kSub>& x, VF (&acc)[kRows]) {
    for (; g < g_end; ++g, x.next_group()) {
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
  }

  template <typename Panels>
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
        unsigned char* to = panel.codes[n] + (g - g_begin) * Panels::kGroupBytes;
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) {
          if constexpr (Panels::kWide) {
            store_bytes(to + 128 * j, first_pairs<kOffset>(w[j]));
            store_bytes(to + 128 * j + 64, second_pairs<kOffset>(w[j]));
          } else {
            store_bytes(to + 64 * j, w[j]);
          }
        }
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
  static NextCodes next_codes(const PackedMatrix& weight, std::int64_t tile, std::int64_t g,
                              std::int64_t n_groups) {
    const bool same = g + n_groups <= weight.k / kGroup;
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
  template <typename Products>
  static void many_rows(const LinearArgs& args) {
    using Panels = typename Products::Panels;
    using Rows = PanelRows<Products>;
    const std::int64_t n_groups = args.weight->k / kGroup;
    const Ahead ahead(args);
    Panels panel;
    for (std::int64_t tile = args.tile_begin; tile < args.tile_end; tile += kQuantTiles) {
      const std::int64_t left = args.tile_end - tile;
      const int n_tiles = left < kQuantTiles ? static_cast<int>(left) : kQuantTiles;
      for (std::int64_t g = 0; g < n_groups; g += Panels::kGroups) {
        const std::int64_t g_end = g + Panels::kGroups < n_groups ? g + Panels::kGroups : n_groups;
        fill(panel, args, ahead, tile, n_tiles, g, g_end);
        const NextCodes next = next_codes(*args.weight, tile, g_end, Panels::kGroups);
        if (n_tiles == kQuantTiles) {
          Rows::template rows<kQuantTiles>(panel, next, args, tile, g, g_end);
        } else {
          Rows::template rows<1>(panel, next, args, tile, g, g_end);
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
    const bool wide = args.quant->n_planes == 2;
    if (args.quant->by_group) return wide ? few_rows<2>(args) : few_rows<1>(args);
    if (wide) return many_rows<Wide>(args);
    many_rows<Bytes>(args);
  }
};

}  // namespace
}  // namespace openllm::kernels

#pragma once

// Attention of queries over a span of the paged cache, 32 positions at a time, with a running
// maximum. A query's numbers depend on its own row and the cache alone: units of 32 positions are
// fixed by position, and what it does not see counts as nothing.

namespace openllm::kernels {
namespace {

constexpr int kUnit = 32;
/// Of a key and a value, that a unit of them has space for as f32.
constexpr int kExpandedDims = 1152;

template <KvFormat kFormat>
constexpr std::int64_t kElementBytes = kv_element_bytes(kFormat);

/// Of a position, from one entry's keys or pair of entries' keys.
template <KvFormat kFormat>
constexpr std::int64_t kKeyBytes = kFormat == KvFormat::kI16 ? 4 : kElementBytes<kFormat>;

constexpr std::int64_t padded(std::int64_t n) { return (n + 15) / 16 * 16; }

/// 16 entries; of int8 the codes, without their scale.
template <KvFormat kFormat>
OPENLLM_INLINE VF load_kv(const unsigned char* p, std::int64_t i) {
  if constexpr (kFormat == KvFormat::kF16) {
    return load_f16(p + 2 * i);
  } else if constexpr (kFormat == KvFormat::kI8) {
    return load_i8(p + i);
  } else {
    return load(reinterpret_cast<const float*>(p) + i);
  }
}

/// Asks for `bytes` that are needed soon: what comes next is often in a block elsewhere, where the
/// hardware does not look by itself.
OPENLLM_INLINE void prefetch_span(const unsigned char* p, std::int64_t bytes) {
#pragma GCC unroll 4
  for (std::int64_t i = 0; i < bytes; i += 64) prefetch(p + i);
}

/// Positions [first, first + 32) of a block for all queries of the tile: where they are and what is
/// visible.
struct Unit {
  const unsigned char* keys;  ///< Of the block.
  const unsigned char* values;
  std::int64_t slot;               ///< Of the first position in its block.
  std::int64_t position;           ///< Of the first position in the sequence.
  std::int64_t n;                  ///< Positions, <= 32.
  const unsigned char* next_keys;  ///< Of the first position of the unit after this one.
  const unsigned char* next_values;
};

/// Of int16, those of a unit's keys and values.
OPENLLM_INLINE const float* key_scales(const AttentionArgs& args, const Unit& unit) {
  const std::int64_t n_pairs = (args.head_dim + 1) / 2;
  return reinterpret_cast<const float*>(unit.keys + 4 * n_pairs * padded(args.block_size)) +
         unit.slot;
}
OPENLLM_INLINE const float* value_scales(const AttentionArgs& args, const Unit& unit) {
  const std::int64_t n_pairs = (args.block_size + 1) / 2;
  return reinterpret_cast<const float*>(unit.values + 4 * n_pairs * padded(args.value_dim)) +
         unit.slot;
}
OPENLLM_INLINE void fetch_scales(const AttentionArgs& args, const Unit& unit) {
  prefetch_span(reinterpret_cast<const unsigned char*>(key_scales(args, unit)), 4 * unit.n);
  prefetch_span(reinterpret_cast<const unsigned char*>(value_scales(args, unit)), 4 * unit.n);
}

/// kVectors times 16 positions from `first` of the unit on.
template <KvFormat kFormat, int kQueries, int kVectors, bool kAhead>
OPENLLM_INLINE void scores(const AttentionArgs& args, const AttentionQuery* queries,
                           const Unit& unit, std::int64_t lanes, int first,
                           float (*weights)[kUnit]) {
  const float* q[kQueries];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) q[m] = queries[m].q;
  VF acc[kQueries][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) acc[m][v] = zero();
  }
  const std::int64_t slot = unit.slot + first;
  const auto* const scales = reinterpret_cast<const float*>(unit.keys + args.head_dim * lanes);
  VF scale[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) scale[v] = zero();
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    if constexpr (kAhead) {
      prefetch_span(unit.next_keys + (d * lanes + first) * kElementBytes<kFormat>,
                    16 * kVectors * kElementBytes<kFormat>);
    }
    if constexpr (kFormat == KvFormat::kI8) {
      if (d % kKvScaleGroup == 0) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          scale[v] = load(scales + d / kKvScaleGroup * lanes + slot + 16 * v);
        }
      }
    }
    VF key[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      key[v] = load_kv<kFormat>(unit.keys, d * lanes + slot + 16 * v);
      if constexpr (kFormat == KvFormat::kI8) key[v] = mul(key[v], scale[v]);
    }
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const VF one = splat(q[m][d]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[m][v] = fma(key[v], one, acc[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(weights[m] + first + 16 * v, acc[m][v]);
  }
}

/// The same of int16: whole products, exact in 32 bits, then the scales.
template <int kQueries, int kVectors, bool kAhead>
OPENLLM_INLINE void whole_scores(const AttentionArgs& args, const AttentionQuery* queries,
                                 const Unit& unit, std::int64_t lanes, int first,
                                 float (*weights)[kUnit]) {
  const std::int16_t* q[kQueries];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) q[m] = queries[m].codes;
  VI acc[kQueries][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) acc[m][v] = splat_shifted<-1>(0);
  }
  const std::int64_t n_pairs = (args.head_dim + 1) / 2;
  const unsigned char* keys = unit.keys + 4 * (unit.slot + first);
  for (std::int64_t d = 0; d < n_pairs; ++d) {
    if constexpr (kAhead) {
      prefetch_span(unit.next_keys + 4 * (d * lanes + first), 64 * kVectors);
    }
    VB key[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) key[v] = load_bytes(keys + 4 * d * lanes + 64 * v);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const auto pair = splat_pair(q[m] + 2 * d);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[m][v] = dot_pairs(key[v], pair, acc[m][v]);
    }
  }
  const float* const scales = key_scales(args, unit) + first;
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const VF scale = load(scales + 16 * v);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const VF both = mul(scale, splat(queries[m].scale));
      store(weights[m] + first + 16 * v, mul(to_float(acc[m][v]), both));
    }
  }
}

template <KvFormat kFormat, int kQueries, int kVectors, bool kAhead>
OPENLLM_INLINE void scores_of(const AttentionArgs& args, const AttentionQuery* queries,
                              const Unit& unit, std::int64_t lanes, int first,
                              float (*weights)[kUnit]) {
  if constexpr (kFormat == KvFormat::kI16) {
    whole_scores<kQueries, kVectors, kAhead>(args, queries, unit, lanes, first, weights);
  } else {
    scores<kFormat, kQueries, kVectors, kAhead>(args, queries, unit, lanes, first, weights);
  }
}

template <KvFormat kFormat, int kQueries, bool kAhead>
OPENLLM_INLINE void all_scores(const AttentionArgs& args, const AttentionQuery* queries,
                               const Unit& unit, std::int64_t lanes, float (*weights)[kUnit]) {
  if (lanes - unit.slot < kUnit) {
    scores_of<kFormat, kQueries, 1, kAhead>(args, queries, unit, lanes, 0, weights);
    return;
  }
  for (int first = 0; first < kUnit; first += 16 * kScoreVectors<kQueries>) {
    scores_of<kFormat, kQueries, kScoreVectors<kQueries>, kAhead>(args, queries, unit, lanes, first,
                                                                  weights);
  }
}

OPENLLM_INLINE std::int64_t clamp_to_unit(std::int64_t position, const Unit& unit) {
  const std::int64_t i = position - unit.position;
  return i < 0 ? 0 : (i > unit.n ? unit.n : i);
}

/// The scores of 16 positions, times log2(e); those outside [begin, end) are -inf.
OPENLLM_INLINE VF finish_scores(const AttentionArgs& args, const AttentionQuery& query, VF score,
                                std::int64_t position, std::int64_t begin, std::int64_t end) {
  if (args.soft_cap == 0.0F && query.bias == nullptr) {
    score = mul(score, splat(args.scale * kLog2E));
  } else {
    score = mul(score, splat(args.scale));
    if (args.soft_cap != 0.0F) {
      const VF cap = splat(args.soft_cap);
      score = mul(cap, tanh(div(score, cap)));
    }
    if (query.bias != nullptr) score = add(score, load(query.bias + position));
    score = mul(score, splat(kLog2E));
  }
  if (begin <= 0 && end >= 16) return score;
  const std::int64_t from = begin < 0 ? 0 : (begin > 16 ? 16 : begin);
  const std::int64_t to = end < 0 ? 0 : (end > 16 ? 16 : end);
  return keep_range(score, from, to, splat(-__builtin_inff()));
}

/// Scores become weights 2^(s - m); rescales the state when the maximum grows.
OPENLLM_INLINE void weigh(const AttentionArgs& args, const AttentionQuery& query, const Unit& unit,
                          float* weights, float* state) {
  const std::int64_t begin = clamp_to_unit(query.begin, unit);
  const std::int64_t end = clamp_to_unit(query.end, unit);
  if (begin >= end) {
    for (int v = 0; v < kUnit; v += 16) store(weights + v, zero());
    return;
  }
  const VF first = finish_scores(args, query, load(weights), unit.position, begin, end);
  const VF second =
      finish_scores(args, query, load(weights + 16), unit.position + 16, begin - 16, end - 16);
  const VF larger = max(first, second);
  VF top = splat(state[0]);
  VF sum = load(state + 16);
  if (any_less(top, larger)) {
    const float old = state[0];
    state[0] = max_lane(larger);
    top = splat(state[0]);
    const VF factor = exp2_to_one(sub(splat(old), top));  // zero for -inf
    sum = mul(sum, factor);
    float* acc = state + 32;
    for (std::int64_t d = 0; d < args.value_dim; d += 16)
      store(acc + d, mul(load(acc + d), factor));
  }
  // What is not visible is -inf and weighs exactly nothing.
  const VF a = exp2_to_one(sub(first, top));
  const VF b = exp2_to_one(sub(second, top));
  store(weights, a);
  store(weights + 16, b);
  store(state + 16, add(add(sum, a), b));
}

/// Values of position j of the unit, kCount vectors from entry d on. `scales`: of int8, for the
/// first position of the block.
template <KvFormat kFormat, int kCount>
OPENLLM_INLINE void load_values(const Unit& unit, std::int64_t j, std::int64_t d,
                                std::int64_t stride, const float* scales, VF* value) {
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) {
    value[v] = load_kv<kFormat>(unit.values, (unit.slot + j) * stride + d + 16 * v);
    if constexpr (kFormat == KvFormat::kI8) {
      const float* const row = scales + (unit.slot + j) * kv_scale_groups(stride);
      value[v] = mul(value[v], splat(row[(d + 16 * v) / kKvScaleGroup]));
    }
  }
}

/// kWide vectors from entry d on.
template <KvFormat kFormat, int kQueries, int kWide, bool kAhead>
OPENLLM_INLINE void gather(const Unit& unit, std::int64_t begin, std::int64_t end, std::int64_t d,
                           std::int64_t stride, const float* scales, float (*weights)[kUnit],
                           float* const* acc) {
  VF a[kQueries][kWide];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) a[m][v] = load(acc[m] + d + 16 * v);
  }
  for (std::int64_t j = begin; j < end; ++j) {
    if constexpr (kAhead) {
      prefetch_span(unit.next_values + (j * stride + d) * kElementBytes<kFormat>,
                    16 * kWide * kElementBytes<kFormat>);
    }
    VF value[kWide];
    load_values<kFormat, kWide>(unit, j, d, stride, scales, value);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const VF p = splat(weights[m][j]);
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) a[m][v] = fma(p, value[v], a[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) store(acc[m] + d + 16 * v, a[m][v]);
  }
}

/// Weights times the values' scales as int16, whose sum is at most 32767, so that what they gather
/// fits in 32 bits. Returns what to multiply that with.
OPENLLM_INLINE float to_codes(const Unit& unit, const float* scales, const float* weights,
                              std::int16_t* codes) {
  const std::int64_t n = unit.n;
  VF scale[2];
  if (n == kUnit) {
    scale[0] = load(scales);
    scale[1] = load(scales + 16);
  } else {
    scale[0] = load_first(scales, n < 16 ? n : 16);
    scale[1] = n > 16 ? load_first(scales + 16, n - 16) : zero();
  }
  const VF first = mul(load(weights), scale[0]);
  const VF second = mul(load(weights + 16), scale[1]);
  const float total = sum_lanes(add(first, second));
  const VF inverse = splat(total > 1e-33F ? 32750.0F / total : 0.0F);
  store_i16(codes, max(mul(first, inverse), zero()));
  store_i16(codes + 16, max(mul(second, inverse), zero()));
  return total * (1.0F / 32750.0F);
}

/// kWide vectors from entry d on, of int16. `begin` is even; weights before it are zero.
template <int kQueries, int kWide, bool kAhead>
OPENLLM_INLINE void gather_whole(const Unit& unit, std::int64_t begin, std::int64_t end,
                                 std::int64_t d, std::int64_t stride, std::int16_t (*codes)[kUnit],
                                 const float* factors, float* const* acc) {
  VI a[kQueries][kWide];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) a[m][v] = splat_shifted<-1>(0);
  }
  const unsigned char* values = unit.values + 2 * unit.slot * stride + 4 * d;
  for (std::int64_t j = begin; j < end; j += 2) {
    if constexpr (kAhead) prefetch_span(unit.next_values + 2 * j * stride + 4 * d, 64 * kWide);
    VB value[kWide];
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) value[v] = load_bytes(values + 2 * j * stride + 64 * v);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const auto pair = splat_pair(codes[m] + j);
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) a[m][v] = dot_pairs(value[v], pair, a[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
    const VF factor = splat(factors[m]);
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      float* const to = acc[m] + d + 16 * v;
      store(to, fma(to_float(a[m][v]), factor, load(to)));
    }
  }
}

template <int kQueries, bool kAhead>
OPENLLM_INLINE void gather_whole_values(const AttentionArgs& args, const Unit& unit,
                                        std::int64_t begin, std::int64_t end,
                                        float (*weights)[kUnit], float* const* acc) {
  const std::int64_t stride = padded(args.value_dim);
  const float* const scales = value_scales(args, unit);
  alignas(64) std::int16_t codes[kQueries][kUnit];
  float factors[kQueries];
  for (int m = 0; m < kQueries; ++m) factors[m] = to_codes(unit, scales, weights[m], codes[m]);
  begin = begin / 2 * 2;
  constexpr int kWide = kValueVectors<kQueries>;
  std::int64_t d = 0;
  for (; d + 16 * kWide <= stride; d += 16 * kWide) {
    gather_whole<kQueries, kWide, kAhead>(unit, begin, end, d, stride, codes, factors, acc);
  }
  for (; d < stride; d += 16) {
    gather_whole<kQueries, 1, kAhead>(unit, begin, end, d, stride, codes, factors, acc);
  }
}

template <KvFormat kFormat, int kQueries, bool kAhead>
OPENLLM_INLINE void gather_values(const AttentionArgs& args, const Unit& unit, std::int64_t begin,
                                  std::int64_t end, float (*weights)[kUnit], float* const* acc) {
  if constexpr (kFormat == KvFormat::kI16) {
    gather_whole_values<kQueries, kAhead>(args, unit, begin, end, weights, acc);
    return;
  }
  const std::int64_t stride = padded(args.value_dim);
  const auto* const scales = reinterpret_cast<const float*>(unit.values + args.block_size * stride);
  constexpr int kWide = kValueVectors<kQueries>;
  std::int64_t d = 0;
  for (; d + 16 * kWide <= stride; d += 16 * kWide) {
    gather<kFormat, kQueries, kWide, kAhead>(unit, begin, end, d, stride, scales, weights, acc);
  }
  for (; d < stride; d += 16) {
    gather<kFormat, kQueries, 1, kAhead>(unit, begin, end, d, stride, scales, weights, acc);
  }
}

/// The unit that has `position`. Units start at multiples of 32 inside a block.
OPENLLM_INLINE Unit unit_of(const AttentionArgs& args, std::int64_t position) {
  const std::int64_t block = position / args.block_size;
  Unit unit{};
  unit.slot = position % args.block_size / kUnit * kUnit;
  unit.position = block * args.block_size + unit.slot;
  unit.n = args.block_size - unit.slot < kUnit ? args.block_size - unit.slot : kUnit;
  const std::int64_t offset = args.blocks[block] * args.block_bytes;
  unit.keys = args.keys + offset;
  unit.values = args.values + offset;
  return unit;
}

/// The positions of a span that some of a few queries see, and the end of all that they see.
struct Seen {
  std::int64_t lowest;
  std::int64_t highest;
  std::int64_t last;
};

Seen seen_by(const AttentionQuery* queries, int n, std::int64_t begin, std::int64_t end) {
  std::int64_t lowest = end;
  std::int64_t last = begin;
  for (int m = 0; m < n; ++m) {
    lowest = queries[m].begin < lowest ? queries[m].begin : lowest;
    last = queries[m].end > last ? queries[m].end : last;
  }
  return {lowest < begin ? begin : lowest, last > end ? end : last, last};
}

template <KvFormat kFormat, int kQueries, bool kAhead>
OPENLLM_INLINE void attend_unit(const AttentionArgs& args, const AttentionQuery* queries,
                                const Unit& unit, std::int64_t lanes, const Seen& seen,
                                float* states) {
  const std::int64_t state_floats = attention_state_floats(args.value_dim);
  alignas(64) float weights[kQueries][kUnit];
  float* acc[kQueries];
  all_scores<kFormat, kQueries, kAhead>(args, queries, unit, lanes, weights);
  for (int m = 0; m < kQueries; ++m) {
    weigh(args, queries[m], unit, weights[m], states + m * state_floats);
    acc[m] = states + m * state_floats + 32;
  }
  gather_values<kFormat, kQueries, kAhead>(args, unit, clamp_to_unit(seen.lowest, unit),
                                           clamp_to_unit(seen.highest, unit), weights, acc);
}

/// A tile of queries, from the cache. What comes next is asked for.
template <KvFormat kFormat, int kQueries>
void attend_tile(const AttentionArgs& args, const Seen& seen, float* states) {
  const std::int64_t lanes = padded(args.block_size);
  const std::int64_t value_bytes = padded(args.value_dim) * kElementBytes<kFormat>;
  Unit unit = unit_of(args, seen.lowest);
  for (std::int64_t position = seen.lowest; position < seen.highest;) {
    position = unit.position + unit.n;
    const Unit next = position < seen.last ? unit_of(args, position) : unit;
    unit.next_keys = next.keys + next.slot * kKeyBytes<kFormat>;
    unit.next_values = next.values + next.slot * value_bytes;
    if constexpr (kFormat == KvFormat::kI16) fetch_scales(args, next);
    attend_unit<kFormat, kQueries, true>(args, args.queries, unit, lanes, seen, states);
    unit = next;
  }
}

template <KvFormat kFormat>
void attend_few(const AttentionArgs& args, std::int64_t begin, std::int64_t end, float* states) {
  const Seen seen = seen_by(args.queries, args.n_queries, begin, end);
  if (seen.lowest >= seen.highest) return;
  switch (args.n_queries) {
    case 1:
      return attend_tile<kFormat, 1>(args, seen, states);
    case 2:
      return attend_tile<kFormat, 2>(args, seen, states);
    case 3:
      return attend_tile<kFormat, 3>(args, seen, states);
    case 4:
      return attend_tile<kFormat, 4>(args, seen, states);
    case 5:
      return attend_tile<kFormat, 5>(args, seen, states);
    default:
      return attend_tile<kFormat, 6>(args, seen, states);
  }
}

/// A unit's keys [head_dim, n_lanes] and values [n, padded(value_dim)] as f32.
template <KvFormat kFormat>
Unit expand(const AttentionArgs& args, const Unit& unit, std::int64_t n_lanes, float* keys,
            float* values) {
  const std::int64_t lanes = padded(args.block_size);
  const std::int64_t stride = padded(args.value_dim);
  const auto* const key_scales = reinterpret_cast<const float*>(unit.keys + args.head_dim * lanes);
  const auto* const value_scales =
      reinterpret_cast<const float*>(unit.values + args.block_size * stride);
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    for (std::int64_t i = 0; i < n_lanes; i += 16) {
      VF key = load_kv<kFormat>(unit.keys, d * lanes + unit.slot + i);
      if constexpr (kFormat == KvFormat::kI8) {
        key = mul(key, load(key_scales + d / kKvScaleGroup * lanes + unit.slot + i));
      }
      store(keys + d * n_lanes + i, key);
    }
  }
  for (std::int64_t j = 0; j < unit.n; ++j) {
    for (std::int64_t d = 0; d < stride; d += 16) {
      VF value;
      load_values<kFormat, 1>(unit, j, d, stride, value_scales, &value);
      store(values + j * stride + d, value);
    }
  }
  Unit expanded = unit;
  expanded.keys = reinterpret_cast<const unsigned char*>(keys);
  expanded.values = reinterpret_cast<const unsigned char*>(values);
  expanded.slot = 0;
  return expanded;
}

/// Asks for one of n parts of a unit in the cache.
template <KvFormat kFormat>
OPENLLM_INLINE void fetch_part(const AttentionArgs& args, const Unit& unit, std::int64_t part,
                               std::int64_t n) {
  constexpr std::int64_t kBytes = kElementBytes<kFormat>;
  const std::int64_t lanes = padded(args.block_size);
  const std::int64_t stride = padded(args.value_dim);
  constexpr std::int64_t kKey = kKeyBytes<kFormat>;
  if (kFormat == KvFormat::kI16 && part == 0) fetch_scales(args, unit);
  const unsigned char* keys = unit.keys + unit.slot * kKey;
  const std::int64_t n_lines = args.head_dim * kBytes / kKey;
  for (std::int64_t d = n_lines * part / n; d < n_lines * (part + 1) / n; ++d) {
    prefetch_span(keys + d * lanes * kKey, unit.n * kKey);
  }
  const std::int64_t size = unit.n * stride * kBytes;
  const unsigned char* values = unit.values + unit.slot * stride * kBytes;
  prefetch_span(values + size * part / n, size * (part + 1) / n - size * part / n);
}

/// Queries [first, first + n) meet a unit.
template <KvFormat kFormat>
OPENLLM_INLINE void attend_near(const AttentionArgs& args, int first, int n, const Unit& unit,
                                std::int64_t lanes, const Seen& span, float* states) {
  const AttentionQuery* const queries = args.queries + first;
  const Seen seen = seen_by(queries, n, span.lowest, span.highest);
  if (seen.highest <= unit.position || seen.lowest >= unit.position + unit.n) return;
  float* const own = states + first * attention_state_floats(args.value_dim);
  switch (n) {
    case 1:
      return attend_unit<kFormat, 1, false>(args, queries, unit, lanes, seen, own);
    case 2:
      return attend_unit<kFormat, 2, false>(args, queries, unit, lanes, seen, own);
    case 3:
      return attend_unit<kFormat, 3, false>(args, queries, unit, lanes, seen, own);
    case 4:
      return attend_unit<kFormat, 4, false>(args, queries, unit, lanes, seen, own);
    case 5:
      return attend_unit<kFormat, 5, false>(args, queries, unit, lanes, seen, own);
    default:
      return attend_unit<kFormat, 6, false>(args, queries, unit, lanes, seen, own);
  }
}

/// Many queries: each unit comes from the cache once, then all of them meet it; floats are expanded
/// for that.
template <KvFormat kFormat>
void attend_many(const AttentionArgs& args, std::int64_t begin, std::int64_t end, float* states) {
  constexpr bool kExpands = kFormat != KvFormat::kI16;
  constexpr int kTile = AttentionArgs::kTileQueries;
  alignas(64) float space[kExpands ? kUnit * kExpandedDims : 16];
  const Seen all = seen_by(args.queries, args.n_queries, begin, end);
  const Seen span{begin, end, end};
  if (all.lowest >= all.highest) return;
  const std::int64_t n_tiles = (args.n_queries + kTile - 1) / kTile;
  const std::int64_t block_lanes = padded(args.block_size);
  Unit unit = unit_of(args, all.lowest);
  for (std::int64_t position = all.lowest; position < all.highest;) {
    position = unit.position + unit.n;
    const Unit next = position < all.last ? unit_of(args, position) : unit;
    Unit near = unit;
    std::int64_t lanes = block_lanes;
    if constexpr (kExpands) {
      lanes = block_lanes - unit.slot < kUnit ? 16 : kUnit;
      near = expand<kFormat>(args, unit, lanes, space, space + kUnit * args.head_dim);
    }
    for (int first = 0; first < args.n_queries; first += kTile) {
      fetch_part<kFormat>(args, next, first / kTile, n_tiles);
      const int left = args.n_queries - first;
      attend_near<kExpands ? KvFormat::kF32 : kFormat>(args, first, left < kTile ? left : kTile,
                                                       near, lanes, span, states);
    }
    unit = next;
  }
}

template <KvFormat kFormat>
void attend_as(const AttentionArgs& args, std::int64_t begin, std::int64_t end, float* states) {
  const std::int64_t state_floats = attention_state_floats(args.value_dim);
  for (std::int64_t i = 0; i < args.n_queries * state_floats; ++i) states[i] = 0.0F;
  for (int m = 0; m < args.n_queries; ++m) states[m * state_floats] = -__builtin_inff();
  const bool fits =
      kFormat == KvFormat::kI16 || args.head_dim + padded(args.value_dim) <= kExpandedDims;
  if (args.n_queries > AttentionArgs::kTileQueries && fits) {
    attend_many<kFormat>(args, begin, end, states);
    return;
  }
  AttentionArgs tile = args;
  for (int first = 0; first < args.n_queries; first += AttentionArgs::kTileQueries) {
    const int left = args.n_queries - first;
    tile.queries = args.queries + first;
    tile.n_queries = left < AttentionArgs::kTileQueries ? left : AttentionArgs::kTileQueries;
    attend_few<kFormat>(tile, begin, end, states + first * state_floats);
  }
}

void attend(const AttentionArgs* args, std::int64_t begin, std::int64_t end, float* states) {
  switch (args->format) {
    case KvFormat::kF32:
      return attend_as<KvFormat::kF32>(*args, begin, end, states);
    case KvFormat::kF16:
      return attend_as<KvFormat::kF16>(*args, begin, end, states);
    case KvFormat::kI8:
      return attend_as<KvFormat::kI8>(*args, begin, end, states);
    case KvFormat::kI16:
      return attend_as<KvFormat::kI16>(*args, begin, end, states);
  }
}

void merge(float* state, const float* later, std::int64_t value_dim) {
  const float a = state[0];
  const float b = later[0];
  if (b == -__builtin_inff()) return;
  const float top = a > b ? a : b;
  const VF old_factor = exp2_to_one(splat(a - top));
  const VF new_factor = exp2_to_one(splat(b - top));
  for (std::int64_t i = 16; i < attention_state_floats(value_dim); i += 16) {
    const VF sum = fma(load(later + i), new_factor, mul(load(state + i), old_factor));
    store(state + i, sum);
  }
  state[0] = top;
}

void finish(const float* state, std::int64_t value_dim, float* out) {
  const float sum = sum_lanes(load(state + 16));
  const VF inverse = splat(sum > 0.0F ? 1.0F / sum : 0.0F);
  for_lanes(value_dim, [&](std::int64_t d, std::int64_t n) {
    store_some(out + d, mul(load(state + 32 + d), inverse), n);
  });
}

}  // namespace
}  // namespace openllm::kernels

#pragma once

// Attention of a few queries over a span of the paged cache, 32 positions at a time, with a running
// maximum. A query's numbers depend on its own row and the cache alone: units of 32 positions are
// fixed by position, and what it does not see counts as nothing.

namespace openllm::kernels {
namespace {

constexpr int kUnit = 32;

template <KvFormat kFormat>
constexpr std::int64_t kElementBytes = kv_element_bytes(kFormat);

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

template <KvFormat kFormat, int kQueries, int kVectors>
OPENLLM_INLINE void scores(const AttentionTile& tile, const Unit& unit, std::int64_t lanes,
                           float (*weights)[kUnit]) {
  VF acc[kQueries][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) acc[m][v] = zero();
  }
  const auto* const scales = reinterpret_cast<const float*>(unit.keys + tile.head_dim * lanes);
  VF scale[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) scale[v] = zero();
  for (std::int64_t d = 0; d < tile.head_dim; ++d) {
    prefetch_span(unit.next_keys + d * lanes * kElementBytes<kFormat>,
                  16 * kVectors * kElementBytes<kFormat>);
    if constexpr (kFormat == KvFormat::kI8) {
      if (d % kKvScaleGroup == 0) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          scale[v] = load(scales + d / kKvScaleGroup * lanes + unit.slot + 16 * v);
        }
      }
    }
    VF key[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      key[v] = load_kv<kFormat>(unit.keys, d * lanes + unit.slot + 16 * v);
      if constexpr (kFormat == KvFormat::kI8) key[v] = mul(key[v], scale[v]);
    }
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
      const VF q = splat(tile.q[m][d]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[m][v] = fma(key[v], q, acc[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(weights[m] + 16 * v, acc[m][v]);
  }
}

OPENLLM_INLINE std::int64_t clamp_to_unit(std::int64_t position, const Unit& unit) {
  const std::int64_t i = position - unit.position;
  return i < 0 ? 0 : (i > unit.n ? unit.n : i);
}

/// Scores become weights e^(s - m); rescales the state when the maximum grows. False when the query
/// sees nothing here.
OPENLLM_INLINE bool weigh(const AttentionTile& tile, const Unit& unit, int m, float* weights,
                          float* state) {
  const std::int64_t begin = clamp_to_unit(tile.begin[m], unit);
  const std::int64_t end = clamp_to_unit(tile.end[m], unit);
  if (begin >= end) {
    for (int v = 0; v < kUnit; v += 16) store(weights + v, zero());
    return false;
  }
  const VF lowest = splat(-__builtin_inff());
  VF s[2];
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    VF score = mul(load(weights + 16 * v), splat(tile.scale));
    if (tile.soft_cap != 0.0F) {
      const VF cap = splat(tile.soft_cap);
      score = mul(cap, tanh(div(score, cap)));
    }
    if (tile.bias[m] != nullptr) score = add(score, load(tile.bias[m] + unit.position + 16 * v));
    const std::int64_t from = begin - 16 * v < 0 ? 0 : (begin - 16 * v > 16 ? 16 : begin - 16 * v);
    const std::int64_t to = end - 16 * v < 0 ? 0 : (end - 16 * v > 16 ? 16 : end - 16 * v);
    s[v] = keep_range(score, from, to, lowest);
  }
  const float old = state[0];
  const float seen = max_lane(max(s[0], s[1]));
  const float top = seen > old ? seen : old;
  VF sum = load(state + 16);
  float* acc = state + 32;
  if (top > old) {
    // The first unit finds an empty state: its factor is e^-inf = 0, made explicit since exp
    // clamps.
    const VF factor = old == -__builtin_inff() ? zero() : exp(splat(old - top));
    sum = mul(sum, factor);
    for (std::int64_t d = 0; d < tile.value_dim; d += 16)
      store(acc + d, mul(load(acc + d), factor));
    state[0] = top;
  }
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    // Compared, not clamped: what is not visible weighs exactly nothing.
    const VF e = exp(sub(s[v], splat(top)));
    const VF weight = select_less(lowest, s[v], e, zero());
    store(weights + 16 * v, weight);
    sum = add(sum, weight);
  }
  store(state + 16, sum);
  return true;
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

template <KvFormat kFormat, int kQueries>
OPENLLM_INLINE void gather_values(const AttentionTile& tile, const Unit& unit, std::int64_t begin,
                                  std::int64_t end, float (*weights)[kUnit], float* const* acc) {
  constexpr int kWide = 4;
  const std::int64_t stride = (tile.value_dim + 15) / 16 * 16;
  const auto* const scales = reinterpret_cast<const float*>(unit.values + tile.block_size * stride);
  std::int64_t d = 0;
  for (; d + 16 * kWide <= tile.value_dim; d += 16 * kWide) {
    VF a[kQueries][kWide];
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) a[m][v] = load(acc[m] + d + 16 * v);
    }
    for (std::int64_t j = begin; j < end; ++j) {
      prefetch_span(unit.next_values + (j * stride + d) * kElementBytes<kFormat>,
                    16 * kWide * kElementBytes<kFormat>);
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
  for (; d < tile.value_dim; d += 16) {
    for (int m = 0; m < kQueries; ++m) {
      VF a = load(acc[m] + d);
      for (std::int64_t j = begin; j < end; ++j) {
        VF value;
        load_values<kFormat, 1>(unit, j, d, stride, scales, &value);
        a = fma(splat(weights[m][j]), value, a);
      }
      store(acc[m] + d, a);
    }
  }
}

/// The unit that has `position`. Units start at multiples of 32 inside a block.
OPENLLM_INLINE Unit unit_of(const AttentionTile& tile, std::int64_t position) {
  const std::int64_t block = position / tile.block_size;
  Unit unit{};
  unit.slot = position % tile.block_size / kUnit * kUnit;
  unit.position = block * tile.block_size + unit.slot;
  unit.n = tile.block_size - unit.slot < kUnit ? tile.block_size - unit.slot : kUnit;
  const std::int64_t offset = tile.blocks[block] * tile.block_bytes;
  unit.keys = tile.keys + offset;
  unit.values = tile.values + offset;
  return unit;
}

template <KvFormat kFormat, int kQueries>
void attend_as(const AttentionTile& tile, std::int64_t begin, std::int64_t end, float* states) {
  const std::int64_t state_floats = attention_state_floats(tile.value_dim);
  const std::int64_t lanes = (tile.block_size + 15) / 16 * 16;
  const std::int64_t value_bytes = (tile.value_dim + 15) / 16 * 16 * kElementBytes<kFormat>;
  float* acc[kQueries];
  std::int64_t lowest = end;
  std::int64_t highest = begin;
  for (int m = 0; m < kQueries; ++m) {
    float* state = states + m * state_floats;
    for (std::int64_t i = 0; i < state_floats; ++i) state[i] = 0.0F;
    state[0] = -__builtin_inff();
    acc[m] = state + 32;
    lowest = tile.begin[m] < lowest ? tile.begin[m] : lowest;
    highest = tile.end[m] > highest ? tile.end[m] : highest;
  }
  lowest = lowest < begin ? begin : lowest;
  const std::int64_t last = highest;  // of the sequence; `end` is that of the span
  highest = highest > end ? end : highest;
  if (lowest >= highest) return;
  alignas(64) float weights[kQueries][kUnit];
  Unit unit = unit_of(tile, lowest);
  for (std::int64_t position = lowest; position < highest;) {
    position = unit.position + unit.n;
    const Unit next = position < last ? unit_of(tile, position) : unit;
    unit.next_keys = next.keys + next.slot * kElementBytes<kFormat>;
    unit.next_values = next.values + next.slot * value_bytes;
    if (lanes - unit.slot >= kUnit) {
      scores<kFormat, kQueries, 2>(tile, unit, lanes, weights);
    } else {
      scores<kFormat, kQueries, 1>(tile, unit, lanes, weights);
    }
    for (int m = 0; m < kQueries; ++m) {
      weigh(tile, unit, m, weights[m], states + m * state_floats);
    }
    gather_values<kFormat, kQueries>(tile, unit, clamp_to_unit(lowest, unit),
                                     clamp_to_unit(highest, unit), weights, acc);
    unit = next;
  }
}

template <KvFormat kFormat>
void attend_for(const AttentionTile* tile, std::int64_t begin, std::int64_t end, float* states) {
  switch (tile->n_queries) {
    case 1:
      return attend_as<kFormat, 1>(*tile, begin, end, states);
    case 2:
      return attend_as<kFormat, 2>(*tile, begin, end, states);
    case 3:
      return attend_as<kFormat, 3>(*tile, begin, end, states);
    case 4:
      return attend_as<kFormat, 4>(*tile, begin, end, states);
    case 5:
      return attend_as<kFormat, 5>(*tile, begin, end, states);
    default:
      return attend_as<kFormat, 6>(*tile, begin, end, states);
  }
}

void attend(const AttentionTile* tile, std::int64_t begin, std::int64_t end, float* states) {
  switch (tile->format) {
    case KvFormat::kF32:
      return attend_for<KvFormat::kF32>(tile, begin, end, states);
    case KvFormat::kF16:
      return attend_for<KvFormat::kF16>(tile, begin, end, states);
    case KvFormat::kI8:
      return attend_for<KvFormat::kI8>(tile, begin, end, states);
  }
}

void merge(float* state, const float* later, std::int64_t value_dim) {
  const float a = state[0];
  const float b = later[0];
  if (b == -__builtin_inff()) return;
  const float top = a > b ? a : b;
  const VF old_factor = a == -__builtin_inff() ? zero() : exp(splat(a - top));
  const VF new_factor = exp(splat(b - top));
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

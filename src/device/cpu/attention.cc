#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "device/cpu/cpu_device_impl.h"
#include "device/own_rows.h"
#include "device/position_bias.h"

namespace openllm::device::cpu {

namespace {

using kernels::AttentionTile;

// Sums are formed over spans of this many positions and merged in order, always, so that a long
// context can be shared out among threads without changing a bit.
constexpr std::int64_t kSpanPositions = 256;

constexpr std::size_t kStateFloats = static_cast<std::size_t>(
    AttentionTile::kMaxQueries * kernels::attention_state_floats(kMaxHeadDim));

/// One call's geometry.
struct Geometry {
  const AttentionSpec& spec;
  const CpuKvCache& cache;
  const CpuKvCache::Layer& layer;
  const step::Step& step;
  const step::BlockTable& table;
  const HostPositionBias* bias;
  const float* sinks;
  Tensor q;
  Tensor out;
  std::int64_t group = 1;  ///< Query heads per KV head.
  std::int64_t span = 0;   ///< Positions; whole blocks.

  std::int64_t tiles_per_head(const step::SequenceRows& sequence) const {
    return (sequence.n_rows * group + AttentionTile::kMaxQueries - 1) / AttentionTile::kMaxQueries;
  }
  std::int64_t n_tiles(const step::SequenceRows& sequence) const {
    return tiles_per_head(sequence) * spec.n_kv_heads;
  }
};

/// A tile and where its results go.
struct Work {
  AttentionTile tile{};
  std::array<float*, AttentionTile::kMaxQueries> out{};
  std::int64_t begin = 0;  ///< Positions that some query sees.
  std::int64_t end = 0;
  /// Scores without a value, for each query, or null.
  std::array<const float*, AttentionTile::kMaxQueries> sinks{};
};

/// Keys that some row of the sequence may see.
std::int64_t visible_len(const AttentionSpec& spec, const step::SequenceRows& sequence) {
  if (spec.visibility == Visibility::kSource) return sequence.source_len;
  return std::int64_t{sequence.past_len} + sequence.n_rows;
}

std::int64_t longest_sequence(const AttentionSpec& spec, const step::Step& step) {
  std::int64_t longest = 0;
  for (const step::SequenceRows& sequence : step.sequences) {
    longest = std::max(longest, visible_len(spec, sequence));
    longest = std::max<std::int64_t>(longest, std::int64_t{sequence.past_len} + sequence.n_rows);
  }
  return longest;
}

void set_visible(const Geometry& g, const step::SequenceRows& sequence, std::int64_t row, int head,
                 int i, Work& work) {
  const std::int64_t own = sequence.past_len + row;
  const std::int64_t last = sequence.past_len + sequence.n_rows - 1;
  std::int64_t end = last;
  if (g.spec.visibility == Visibility::kSource) {
    end = sequence.source_len - 1;
  } else if (g.spec.visibility == Visibility::kCausal) {
    end = own;
    if (!g.step.visible_end.empty()) {
      const auto at = static_cast<std::size_t>(sequence.first_row + row);
      end = std::min<std::int64_t>(g.step.visible_end[at], last);
    }
  } else if (g.spec.window > 0) {
    end = std::min(last, own + g.spec.window - 1);
  }
  if (g.bias != nullptr) work.tile.bias[i] = g.bias->row(head, own);
  work.tile.end[i] = end + 1;
  work.tile.begin[i] = g.spec.window > 0 ? std::max<std::int64_t>(0, own - g.spec.window + 1) : 0;
  if (g.spec.chunk > 0)
    work.tile.begin[i] = std::max(work.tile.begin[i], own / g.spec.chunk * g.spec.chunk);
  if (g.sinks != nullptr) work.sinks[static_cast<std::size_t>(i)] = g.sinks + head;
  work.begin = std::min(work.begin, work.tile.begin[i]);
  work.end = std::max(work.end, work.tile.end[i]);
}

Work make_work(const Geometry& g, std::size_t s, std::int64_t index) {
  const step::SequenceRows& sequence = g.step.sequences[s];
  const std::int64_t head = index / g.tiles_per_head(sequence);
  const std::int64_t first = index % g.tiles_per_head(sequence) * AttentionTile::kMaxQueries;
  const std::int64_t n =
      std::min<std::int64_t>(AttentionTile::kMaxQueries, sequence.n_rows * g.group - first);
  Work work;
  work.begin = std::numeric_limits<std::int64_t>::max();
  AttentionTile& tile = work.tile;
  tile.n_queries = static_cast<int>(n);
  tile.head_dim = g.spec.head_dim;
  tile.value_dim = g.spec.value_dim;
  tile.block_size = g.cache.block_size();
  tile.scale = g.spec.scale;
  tile.soft_cap = g.spec.soft_cap;
  tile.format = g.cache.format();
  tile.blocks = g.table.ids.data() + g.table.begin[s];
  tile.keys = g.layer.memory.data() + head * (g.layer.key_bytes + g.layer.value_bytes);
  tile.values = tile.keys + g.layer.key_bytes;
  tile.block_bytes = g.layer.block_bytes;
  for (int i = 0; i < tile.n_queries; ++i) {
    const std::int64_t row = (first + i) / g.group;
    const std::int64_t q_head = head * g.group + (first + i) % g.group;
    const std::int64_t t = sequence.first_row + row;
    tile.q[i] = row_of(g.q, t) + q_head * g.spec.head_dim;
    work.out[static_cast<std::size_t>(i)] = row_of(g.out, t) + q_head * g.spec.value_dim;
    set_visible(g, sequence, row, static_cast<int>(q_head), i, work);
  }
  return work;
}

void clear_states(float* states, int n, std::int64_t state_floats) {
  std::fill_n(states, n * state_floats, 0.0F);
  for (int i = 0; i < n; ++i) states[i * state_floats] = -std::numeric_limits<float>::infinity();
}

/// Ends a query's sums: its sink, if any, then the mean. `part` is space for a state.
void finish_query(const kernels::Kernels& kernels, const Work& work, std::size_t i, float* total,
                  std::int64_t dim, float* part) {
  if (work.sinks[i] != nullptr) {
    std::fill_n(part, kernels::attention_state_floats(dim), 0.0F);
    part[0] = *work.sinks[i];
    part[16] = 1.0F;
    kernels.merge(total, part, dim);
  }
  kernels.finish(total, dim, work.out[i]);
}

/// All spans of a tile, one after the other.
void run_tile(const kernels::Kernels& kernels, const Geometry& g, const Work& work) {
  const std::int64_t dim = g.spec.value_dim;
  const std::int64_t state_floats = kernels::attention_state_floats(dim);
  alignas(64) std::array<float, kStateFloats> total;
  alignas(64) std::array<float, kStateFloats> part;
  clear_states(total.data(), work.tile.n_queries, state_floats);
  for (std::int64_t begin = work.begin / g.span * g.span; begin < work.end; begin += g.span) {
    kernels.attend(&work.tile, begin, begin + g.span, part.data());
    for (int i = 0; i < work.tile.n_queries; ++i) {
      kernels.merge(total.data() + i * state_floats, part.data() + i * state_floats, dim);
    }
  }
  for (int i = 0; i < work.tile.n_queries; ++i) {
    finish_query(kernels, work, static_cast<std::size_t>(i), total.data() + i * state_floats, dim,
                 part.data());
  }
}

/// Few tiles of a long context: the spans of each are shared out among the threads, then merged in
/// the order in which run_tile merges them. `find(i)` is tile i.
void attend_in_spans(const kernels::Kernels& kernels, base::ThreadTeam& team, const Geometry& g,
                     std::int64_t n_tiles, std::int64_t n_spans,
                     base::FunctionRef<Work(std::int64_t)> find, AlignedMemory& memory) {
  const std::int64_t dim = g.spec.value_dim;
  const std::int64_t state_floats = kernels::attention_state_floats(dim);
  const std::int64_t tile_floats = AttentionTile::kMaxQueries * state_floats;
  const auto n_parts = static_cast<std::size_t>(n_tiles * n_spans);
  memory.reserve(n_parts * static_cast<std::size_t>(tile_floats) * sizeof(float));
  auto* states = reinterpret_cast<float*>(memory.data());
  team.run(n_parts, [&](std::size_t part) {
    const auto i = static_cast<std::int64_t>(part);
    const Work work = find(i / n_spans);
    kernels.attend(&work.tile, i % n_spans * g.span, (i % n_spans + 1) * g.span,
                   states + i * tile_floats);
  });
  for (std::int64_t i = 0; i < n_tiles; ++i) {
    const Work work = find(i);
    alignas(64) std::array<float, kStateFloats> total;
    clear_states(total.data(), work.tile.n_queries, state_floats);
    for (int m = 0; m < work.tile.n_queries; ++m) {
      float* const sum = total.data() + m * state_floats;
      for (std::int64_t span = 0; span < n_spans; ++span) {
        kernels.merge(sum, states + (i * n_spans + span) * tile_floats + m * state_floats, dim);
      }
      // The span's state was merged: its memory is free.
      finish_query(kernels, work, static_cast<std::size_t>(m), sum, dim,
                   states + i * n_spans * tile_floats + m * state_floats);
    }
  }
}

}  // namespace

std::unique_ptr<PositionBias> CpuDevice::make_position_bias(const PositionBiasSpec& spec,
                                                            const Weight* table) {
  std::vector<float> values;
  if (table != nullptr && !sizes_only_) {
    const CpuWeight& rows = as_cpu(*table);
    values.resize(static_cast<std::size_t>(rows.out_features() * rows.in_features()));
    for (std::int64_t i = 0; i < rows.out_features(); ++i) {
      rows.read_row(i, values.data() + i * rows.in_features());
    }
  }
  return std::make_unique<HostPositionBias>(spec, std::move(values));
}

const step::BlockTable& CpuDevice::table_of(const CpuKvCache& cache, int layer) {
  const int group = cache.layer(layer).spec.group;
  if (group != KvLayerSpec::kOwnRows) return step_->block_tables[static_cast<std::size_t>(group)];
  if (own_table_step_ != step_number_ || own_table_block_size_ != cache.block_size()) {
    own_table_ = own_rows_table(*step_, cache.block_size());
    own_table_step_ = step_number_;
    own_table_block_size_ = cache.block_size();
  }
  return own_table_;
}

void CpuDevice::write_kv(KvCache& cache, int layer, Tensor k, Tensor v) noexcept {
  guarded([&] {
    auto& kv = static_cast<CpuKvCache&>(cache);
    const step::BlockTable& table = table_of(kv, layer);
    for (std::size_t s = 0; s < step_->sequences.size(); ++s) {
      const step::SequenceRows& sequence = step_->sequences[s];
      const std::int32_t* blocks = table.ids.data() + table.begin[s];
      for_rows(sequence.n_rows, static_cast<double>(k.cols), [&](std::int64_t i) {
        const std::int64_t position = sequence.past_len + i;
        const std::int64_t t = sequence.first_row + i;
        kv.write(layer, blocks[position / kv.block_size()],
                 static_cast<int>(position % kv.block_size()), row_of(k, t), row_of(v, t),
                 kernels_);
      });
    }
  });
}

void CpuDevice::attention(const AttentionSpec& spec, const KvCache& cache, int layer, Tensor q,
                          Tensor out) noexcept {
  guarded([&] {
    const auto& kv = static_cast<const CpuKvCache&>(cache);
    const CpuKvCache::Layer& kv_layer = kv.layer(layer);
    const std::int64_t blocks_per_span =
        std::max<std::int64_t>(1, kSpanPositions / kv.block_size());
    auto* bias = static_cast<HostPositionBias*>(spec.bias);
    if (bias != nullptr) bias->reserve(longest_sequence(spec, *step_));
    const Geometry g{spec,
                     kv,
                     kv_layer,
                     *step_,
                     table_of(kv, layer),
                     bias,
                     spec.sinks == nullptr ? nullptr : vector_of(spec.sinks),
                     q,
                     out,
                     spec.n_heads / spec.n_kv_heads,
                     blocks_per_span * kv.block_size()};
    attention_first_.clear();
    std::int64_t n_work = 0;
    std::int64_t longest = 0;
    for (const step::SequenceRows& sequence : step_->sequences) {
      attention_first_.push_back(n_work);
      n_work += g.n_tiles(sequence);
      longest = std::max<std::int64_t>(longest, visible_len(spec, sequence));
    }
    const auto find = [&](std::int64_t index) {
      const auto after = std::upper_bound(attention_first_.begin(), attention_first_.end(), index);
      const auto s = static_cast<std::size_t>(after - attention_first_.begin() - 1);
      return make_work(g, s, index - attention_first_[s]);
    };
    const std::int64_t n_spans = (longest + g.span - 1) / g.span;
    const bool split = team_.n_threads() > 1 && n_spans > 1 && n_work < 4 * team_.n_threads();
    if (!split) {
      team_.run(static_cast<std::size_t>(n_work),
                [&](std::size_t i) { run_tile(kernels_, g, find(static_cast<std::int64_t>(i))); });
      return;
    }
    attend_in_spans(kernels_, team_, g, n_work, n_spans, find, attention_states_);
  });
}

}  // namespace openllm::device::cpu

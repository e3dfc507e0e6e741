#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "device/cpu/cpu_device_impl.h"
#include "device/own_rows.h"
#include "device/position_bias.h"

namespace openllm::device::cpu {

namespace {

using kernels::AttentionArgs;
using kernels::AttentionQuery;

// Sums are formed over spans of positions and merged in order, always, so that a long context can
// be shared out among threads without changing a bit. The first ones are of this many.
constexpr std::int64_t kSpanPositions = 256;

// Parts that a thread should find at least, as they take different times.
constexpr std::int64_t kPartsPerThread = 4;

// Queries of a part and, on the stack, their codes and sums: 48 and 128 KiB, to stay in the
// second-level cache.
constexpr std::int64_t kMaxQueries = 192;
constexpr std::size_t kCodes = 24576;
constexpr std::size_t kStateFloats = 32768;
static_assert(AttentionArgs::kTileQueries * kMaxHeadDim <= static_cast<std::int64_t>(kCodes));
// Entries of the queries that meet keys and values at a time: 12 KiB, to stay in the first one with
// their sums.
constexpr std::int64_t kNearFloats = 3072;
static_assert(AttentionArgs::kTileQueries * kernels::attention_state_floats(kMaxHeadDim) <=
              static_cast<std::int64_t>(kStateFloats));

/// Where spans begin, in units of the first: 0, 1, 2, 4, 8, 12, 16 ...: short contexts can be
/// shared out, and long ones spend little on merging.
struct Spans {
  std::int64_t unit = 0;  ///< Positions; whole blocks.

  std::int64_t begin(std::int64_t i) const { return unit * (i < 3 ? i : 4 * (i - 2)); }
  /// The span that a position lies in.
  std::int64_t at(std::int64_t position) const {
    const std::int64_t i = position / unit;
    return i < 2 ? i : 2 + i / 4;
  }
};

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
  Spans spans{};
  std::int64_t part_queries = 1;  ///< Of a head, that go through the cache together.

  std::int64_t queries_per_head(const step::SequenceRows& sequence) const {
    return sequence.n_rows * group;
  }
  std::int64_t parts_per_head(const step::SequenceRows& sequence) const {
    return (queries_per_head(sequence) + part_queries - 1) / part_queries;
  }
  std::int64_t n_parts(const step::SequenceRows& sequence) const {
    return parts_per_head(sequence) * spec.n_kv_heads;
  }
};

/// Some queries of a head and where their results go. Only the first n_queries are set.
struct Work {
  AttentionArgs args{};
  std::array<AttentionQuery, kMaxQueries> queries;
  std::array<float*, kMaxQueries> out;
  /// Scores without a value, or null.
  std::array<const float*, kMaxQueries> sinks;
  std::array<std::int16_t, kCodes> codes;
  std::int64_t begin = std::numeric_limits<std::int64_t>::max();  ///< That some query sees.
  std::int64_t end = 0;
};

std::int64_t even(std::int64_t n) { return (n + 1) / 2 * 2; }

/// How many of n queries go through the cache together: many, as each part of them brings the keys
/// and values from farther caches, but not so many that threads are left without, or that their
/// sums do not fit.
std::int64_t queries_together(const AttentionSpec& spec, std::int64_t n, int n_threads) {
  const std::int64_t fit =
      static_cast<std::int64_t>(kStateFloats) / kernels::attention_state_floats(spec.value_dim);
  const std::int64_t share = n / (kPartsPerThread * n_threads);
  const std::int64_t codes = static_cast<std::int64_t>(kCodes) / even(spec.head_dim);
  const std::int64_t most = std::min({fit, codes, share, kMaxQueries});
  constexpr std::int64_t kTile = AttentionArgs::kTileQueries;
  return std::max(most / kTile, std::int64_t{1}) * kTile;
}

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
                 AttentionQuery& query) {
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
  query.bias = g.bias == nullptr ? nullptr : g.bias->row(head, own);
  query.end = end + 1;
  query.begin = g.spec.window > 0 ? std::max<std::int64_t>(0, own - g.spec.window + 1) : 0;
  if (g.spec.chunk > 0) query.begin = std::max(query.begin, own / g.spec.chunk * g.spec.chunk);
}

/// Part `index` of sequence `s`.
void set_work(const kernels::Kernels& kernels, const Geometry& g, std::size_t s, std::int64_t index,
              Work& work) {
  const step::SequenceRows& sequence = g.step.sequences[s];
  const std::int64_t head = index / g.parts_per_head(sequence);
  const std::int64_t first = index % g.parts_per_head(sequence) * g.part_queries;
  AttentionArgs& args = work.args;
  args.queries = work.queries.data();
  args.n_queries = static_cast<int>(std::min(g.part_queries, g.queries_per_head(sequence) - first));
  args.head_dim = g.spec.head_dim;
  args.value_dim = g.spec.value_dim;
  args.block_size = g.cache.block_size();
  args.scale = g.spec.scale;
  args.soft_cap = g.spec.soft_cap;
  args.format = g.cache.format();
  args.blocks = g.table.ids.data() + g.table.begin[s];
  args.keys = g.layer.memory.data() + head * (g.layer.key_bytes + g.layer.value_bytes);
  args.values = args.keys + g.layer.key_bytes;
  args.block_bytes = g.layer.block_bytes;
  for (int i = 0; i < args.n_queries; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t row = (first + i) / g.group;
    const std::int64_t q_head = head * g.group + (first + i) % g.group;
    const std::int64_t t = sequence.first_row + row;
    AttentionQuery& query = work.queries[at];
    query.q = row_of(g.q, t) + q_head * g.spec.head_dim;
    if (args.format == kernels::KvFormat::kI16) {
      std::int16_t* const codes = work.codes.data() + i * even(args.head_dim);
      query.scale = kernels.to_i16(query.q, args.head_dim, kernels::kMostNorm, codes);
      if (args.head_dim % 2 != 0) codes[args.head_dim] = 0;
      query.codes = codes;
    }
    work.out[at] = row_of(g.out, t) + q_head * g.spec.value_dim;
    work.sinks[at] = g.sinks == nullptr ? nullptr : g.sinks + q_head;
    set_visible(g, sequence, row, static_cast<int>(q_head), query);
    work.begin = std::min(work.begin, query.begin);
    work.end = std::max(work.end, query.end);
  }
}

void clear_state(float* state, std::int64_t state_floats) {
  std::fill_n(state, state_floats, 0.0F);
  state[0] = -std::numeric_limits<float>::infinity();
}

/// Ends a query's sums: its sink, if any, then the mean. `part` is space for a state.
void finish_query(const kernels::Kernels& kernels, const Work& work, std::size_t i, float* total,
                  std::int64_t dim, float* part) {
  if (work.sinks[i] != nullptr) {
    std::fill_n(part, kernels::attention_state_floats(dim), 0.0F);
    part[0] = *work.sinks[i] * kernels::kLog2E;
    part[16] = 1.0F;
    kernels.merge(total, part, dim);
  }
  kernels.finish(total, dim, work.out[i]);
}

/// How many queries of a part meet keys and values at a time.
int queries_near(const AttentionSpec& spec) {
  constexpr std::int64_t kTile = AttentionArgs::kTileQueries;
  const std::int64_t most = kNearFloats / std::max(spec.head_dim, spec.value_dim);
  return static_cast<int>(std::max(most / kTile, std::int64_t{1}) * kTile);
}

/// All spans, one after the other.
void run_whole(const kernels::Kernels& kernels, const Geometry& g, const Work& work) {
  const std::int64_t dim = g.spec.value_dim;
  const std::int64_t state_floats = kernels::attention_state_floats(dim);
  const int n = work.args.n_queries;
  alignas(64) std::array<float, kStateFloats> total;
  alignas(64) std::array<float, kStateFloats> part;
  for (int i = 0; i < n; ++i) clear_state(total.data() + i * state_floats, state_floats);
  const int near = queries_near(g.spec);
  AttentionArgs some = work.args;
  for (std::int64_t span = g.spans.at(work.begin); g.spans.begin(span) < work.end; ++span) {
    for (int first = 0; first < n; first += near) {
      some.queries = work.args.queries + first;
      some.n_queries = std::min(near, n - first);
      kernels.attend(&some, g.spans.begin(span), g.spans.begin(span + 1), part.data());
      for (int i = 0; i < some.n_queries; ++i) {
        kernels.merge(total.data() + (first + i) * state_floats, part.data() + i * state_floats,
                      dim);
      }
    }
  }
  for (int i = 0; i < n; ++i) {
    finish_query(kernels, work, static_cast<std::size_t>(i), total.data() + i * state_floats, dim,
                 part.data());
  }
}

/// Little work over a long context: the spans of each part are shared out among the threads, then
/// merged in the order in which run_whole merges them. `find(i, work)` is part i, of one tile.
void run_in_spans(const kernels::Kernels& kernels, base::ThreadTeam& team, const Geometry& g,
                  std::int64_t n_parts, std::int64_t n_spans,
                  base::FunctionRef<void(std::int64_t, Work&)> find, AlignedMemory& memory) {
  const std::int64_t dim = g.spec.value_dim;
  const std::int64_t state_floats = kernels::attention_state_floats(dim);
  const std::int64_t part_floats = AttentionArgs::kTileQueries * state_floats;
  const auto n_states = static_cast<std::size_t>(n_parts * n_spans);
  memory.reserve(n_states * static_cast<std::size_t>(part_floats) * sizeof(float));
  auto* states = reinterpret_cast<float*>(memory.data());
  team.run(n_states, [&](std::size_t index) {
    const auto i = static_cast<std::int64_t>(index);
    Work work;
    find(i / n_spans, work);
    kernels.attend(&work.args, g.spans.begin(i % n_spans), g.spans.begin(i % n_spans + 1),
                   states + i * part_floats);
  });
  for (std::int64_t i = 0; i < n_parts; ++i) {
    Work work;
    find(i, work);
    float* const first = states + i * n_spans * part_floats;
    alignas(64) std::array<float, kernels::attention_state_floats(kMaxHeadDim)> total;
    for (int m = 0; m < work.args.n_queries; ++m) {
      clear_state(total.data(), state_floats);
      for (std::int64_t span = 0; span < n_spans; ++span) {
        kernels.merge(total.data(), first + span * part_floats + m * state_floats, dim);
      }
      // The span's state was merged: its memory is free.
      finish_query(kernels, work, static_cast<std::size_t>(m), total.data(), dim,
                   first + m * state_floats);
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
    Geometry g{spec,
               kv,
               kv_layer,
               *step_,
               table_of(kv, layer),
               bias,
               spec.sinks == nullptr ? nullptr : vector_of(spec.sinks),
               q,
               out,
               spec.n_heads / spec.n_kv_heads,
               Spans{blocks_per_span * kv.block_size()}};
    std::int64_t n_queries = 0;
    std::int64_t longest = 0;
    for (const step::SequenceRows& sequence : step_->sequences) {
      n_queries += g.queries_per_head(sequence) * spec.n_kv_heads;
      longest = std::max<std::int64_t>(longest, visible_len(spec, sequence));
    }
    g.part_queries = queries_together(spec, n_queries, team_.n_threads());
    attention_first_.clear();
    std::int64_t n_parts = 0;
    for (const step::SequenceRows& sequence : step_->sequences) {
      attention_first_.push_back(n_parts);
      n_parts += g.n_parts(sequence);
    }
    const auto find = [&](std::int64_t index, Work& work) {
      const auto after = std::upper_bound(attention_first_.begin(), attention_first_.end(), index);
      const auto s = static_cast<std::size_t>(after - attention_first_.begin() - 1);
      set_work(kernels_, g, s, index - attention_first_[s], work);
    };
    const std::int64_t n_spans = longest > 0 ? g.spans.at(longest - 1) + 1 : 0;
    const bool split = team_.n_threads() > 1 && n_spans > 1 &&
                       n_parts < kPartsPerThread * team_.n_threads() &&
                       g.part_queries == AttentionArgs::kTileQueries;
    if (!split) {
      // The last rows of a prompt see most: they come first.
      team_.run(static_cast<std::size_t>(n_parts), [&](std::size_t i) {
        Work work;
        find(n_parts - 1 - static_cast<std::int64_t>(i), work);
        run_whole(kernels_, g, work);
      });
      return;
    }
    run_in_spans(kernels_, team_, g, n_parts, n_spans, find, attention_states_);
  });
}

}  // namespace openllm::device::cpu

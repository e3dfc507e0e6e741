#include "device/reference/reference_device.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/lookup.h"
#include "device/own_rows.h"
#include "device/position_bias.h"
#include "device/position_scale.h"
#include "device/reference/adapter_deltas.h"
#include "device/reference/recurrences.h"
#include "device/reference/reference_memory.h"
#include "device/reference/whole_sequences.h"
#include "device/routed_slots.h"
#include "device/state_segments.h"

namespace openllm::device {
namespace {

class HostBuffer final : public Buffer {
 public:
  explicit HostBuffer(std::size_t n_bytes) : bytes_(n_bytes) {}
  void* data() noexcept override { return bytes_.data(); }

 private:
  std::vector<std::byte> bytes_;
};

class ReferenceRope final : public Rope {
 public:
  explicit ReferenceRope(RopeSpec rope) : spec(std::move(rope)) {}
  const RopeSpec spec;
};

class HostRouting final : public Routing {
 public:
  explicit HostRouting(const RouterSpec& spec) : slots(spec) {}
  RoutedSlots slots;
};

float* row(const Tensor& x, std::int64_t t) { return static_cast<float*>(x.data) + t * x.stride; }

const ReferenceWeight& dense(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

float activate(Activation act, float value) {
  const double x = static_cast<double>(value);
  switch (act) {
    case Activation::kSilu:
      return static_cast<float>(x / (1.0 + std::exp(-x)));
    case Activation::kGelu:
      return static_cast<float>(0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2)));
    case Activation::kGeluTanh:
      return static_cast<float>(
          0.5 * x *
          (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x))));
    case Activation::kQuickGelu:
      return static_cast<float>(x / (1.0 + std::exp(-1.702 * x)));
    case Activation::kRelu:
      return std::max(value, 0.0F);
    case Activation::kReluSquared:
      return value > 0.0F ? value * value : 0.0F;
    case Activation::kTanh:
      return static_cast<float>(std::tanh(x));
  }
  return value;
}

/// Where one query row of a sequence looks.
struct Visible {
  std::int64_t begin = 0;
  std::int64_t end = 0;  // exclusive
};

Visible visible_range(const AttentionSpec& spec, const step::Step& step,
                      const step::SequenceRows& sequence, std::int32_t i) {
  if (spec.visibility == Visibility::kSource) return {0, sequence.source_len};
  const std::int64_t position = sequence.past_len + i;
  const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
  std::int64_t last = length - 1;
  if (spec.visibility == Visibility::kCausal) {
    const auto at = static_cast<std::size_t>(sequence.first_row + i);
    last = step.visible_end.empty() ? position : step.visible_end[at];
  } else if (spec.window > 0) {
    last = std::min(last, position + spec.window - 1);
  }
  std::int64_t begin = spec.window > 0 ? std::max<std::int64_t>(0, position - spec.window + 1) : 0;
  if (spec.chunk > 0) begin = std::max(begin, position / spec.chunk * spec.chunk);
  return {begin, std::min(last + 1, length)};
}

/// What the queries of one call look at.
struct Attended {
  const AttentionSpec& spec;
  const ReferenceKvCache& memory;
  int layer;
  const step::BlockTable& table;
};

class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return "reference"; }
  std::string isa() const override { return "portable"; }

  std::unique_ptr<Weight> upload(const WeightSource& source, WeightRole role) override {
    return expand_weight(source, role);
  }
  std::unique_ptr<Weight> upload_beside(const WeightSource& source, WeightRole role) override {
    return expand_weight(source, role);
  }
  void read_row(const Weight& weight, std::int64_t row, float* out) const override {
    std::copy_n(dense(weight).row(row), weight.in_features(), out);
  }
  std::unique_ptr<Buffer> allocate(std::size_t n_bytes) override {
    return std::make_unique<HostBuffer>(n_bytes);
  }
  std::int64_t kv_block_bytes(const KvLayerSpec& layer, KvType type,
                              int block_size) const noexcept override {
    if (layer.state_floats > 0) return layer.state_floats * std::int64_t{sizeof(float)};
    const auto token = kv_head_bytes(type, layer.head_dim) + kv_head_bytes(type, layer.value_dim);
    return std::int64_t{block_size} * layer.n_kv_heads * static_cast<std::int64_t>(token);
  }
  void copy_kv_block(KvCache& cache, int group, std::int32_t from,
                     std::int32_t to) noexcept override {
    static_cast<ReferenceKvCache&>(cache).copy_block(group, from, to);
  }
  std::unique_ptr<KvCache> allocate_kv(const KvCacheSpec& spec) override {
    return std::make_unique<ReferenceKvCache>(spec);
  }

  std::unique_ptr<Rope> make_rope(const RopeSpec& spec) override {
    return std::make_unique<ReferenceRope>(spec);
  }
  std::unique_ptr<Routing> make_routing(const RouterSpec& spec) override {
    return std::make_unique<HostRouting>(spec);
  }
  void begin_step(const step::Step& step) noexcept override { step_ = &step; }
  void finish_step() override {}

  void embed(const Weight& table, const Lookup& lookup, Tensor out) noexcept override {
    const float* given = step_->embeddings.data();
    for (std::int64_t t = 0; t < out.rows; ++t) {
      const std::int32_t id = looked_up_row(*step_, lookup, t);
      float* to = row(out, t);
      if (id < 0) {
        std::copy_n(given, out.cols, to);
        given += out.cols;
        continue;
      }
      const float* from = dense(table).row(id);
      for (std::int64_t d = 0; d < out.cols; ++d) {
        to[d] = (lookup.add ? to[d] : 0.0F) + from[d] * lookup.scale;
      }
    }
  }
  void embed_deltas(EmbeddingDeltas deltas, Tensor out) noexcept override {
    apply_embedding_deltas(*step_, deltas, out);
  }
  void norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
            Tensor out) noexcept override {
    const std::int64_t n = spec.group > 0 ? spec.group : weight.in_features();
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t begin = 0; begin < x.cols; begin += n) {
        const std::int64_t first = begin % weight.in_features();
        norm_group(spec, dense(weight).row(0) + first,
                   bias == nullptr ? nullptr : dense(*bias).row(0) + first, n, row(x, t) + begin,
                   row(out, t) + begin);
      }
    }
  }

  void linear(const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
              Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t o = 0; o < weight.out_features(); ++o) {
        double sum = dot(row(x, t), dense(weight).row(o), weight.in_features());
        if (bias != nullptr) sum += static_cast<double>(dense(*bias).row(0)[o]);
        row(out, t)[o] = static_cast<float>(sum);
      }
    }
    apply_deltas(weight, deltas, x, out);
  }

  void rope(Rope& rope, int head_dim, Tensor x) noexcept override {
    const RopeSpec& spec = static_cast<const ReferenceRope&>(rope).spec;
    if (spec.style == RopeStyle::kNone) return;
    for (const step::SequenceRows& sequence : step_->sequences) {
      const std::vector<float> inv_freq = grown_frequencies(spec, sequence.rope_len);
      for (std::int64_t t = sequence.first_row; t < sequence.first_row + sequence.n_rows; ++t) {
        rotate_row(spec, inv_freq, head_dim, step_->positions[static_cast<std::size_t>(t)], x, t);
      }
    }
  }
  std::unique_ptr<PositionBias> make_position_bias(const PositionBiasSpec& spec,
                                                   const Weight* table) override {
    std::vector<float> values;
    if (table != nullptr) {
      const float* first = dense(*table).row(0);
      values.assign(first, first + table->out_features() * table->in_features());
    }
    return std::make_unique<HostPositionBias>(spec, std::move(values));
  }
  void write_kv(KvCache& cache, int layer, Tensor k, Tensor v) noexcept override {
    auto& memory = static_cast<ReferenceKvCache&>(cache);
    const KvLayerSpec& spec = memory.spec().layers[static_cast<std::size_t>(layer)];
    const int block_size = memory.spec().block_size;
    const step::BlockTable& table = table_of(memory, layer);
    for (std::size_t s = 0; s < step_->sequences.size(); ++s) {
      const step::SequenceRows& sequence = step_->sequences[s];
      for (std::int32_t i = 0; i < sequence.n_rows; ++i) {
        const std::int64_t position = sequence.past_len + i;
        const std::int32_t block = block_of(table, s, position / block_size);
        const int offset = static_cast<int>(position % block_size);
        const std::int64_t t = sequence.first_row + i;
        for (int h = 0; h < spec.n_kv_heads; ++h) {
          memory.store(layer, false, block, h, offset, row(k, t) + std::int64_t{h} * spec.head_dim);
          memory.store(layer, true, block, h, offset, row(v, t) + std::int64_t{h} * spec.value_dim);
        }
      }
    }
  }
  void attention(const AttentionSpec& spec, const KvCache& cache, int layer, Tensor q,
                 Tensor out) noexcept override {
    const auto& memory = static_cast<const ReferenceKvCache&>(cache);
    const Attended attended{spec, memory, layer, table_of(memory, layer)};
    for (std::size_t s = 0; s < step_->sequences.size(); ++s) {
      const step::SequenceRows& sequence = step_->sequences[s];
      for (std::int32_t i = 0; i < sequence.n_rows; ++i) {
        const Visible range = visible_range(spec, *step_, sequence, i);
        const std::int64_t t = sequence.first_row + i;
        for (int h = 0; h < spec.n_heads; ++h) {
          attend(attended, s, h, range, sequence.past_len + i,
                 row(q, t) + std::int64_t{h} * spec.head_dim,
                 row(out, t) + std::int64_t{h} * spec.value_dim);
        }
      }
    }
  }
  void gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < out.rows; ++t) {
      const float* gate = row(gate_up, t);
      for (std::int64_t f = 0; f < out.cols; ++f) {
        row(out, t)[f] = activate(act, gate[f]) * gate[out.cols + f];
      }
    }
  }

  void activation(Activation act, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t f = 0; f < x.cols; ++f) row(x, t)[f] = activate(act, row(x, t)[f]);
    }
  }

  void apply_gate(Tensor gate, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const auto score = static_cast<double>(row(gate, t)[gate.cols == 1 ? 0 : i]);
        row(x, t)[i] =
            static_cast<float>(static_cast<double>(row(x, t)[i]) / (1.0 + std::exp(-score)));
      }
    }
  }
  void clamped_gate(const ClampedGate& gate, Tensor gate_up, Tensor out) noexcept override {
    const std::int64_t step = gate.paired ? 2 : 1;
    for (std::int64_t t = 0; t < out.rows; ++t) {
      const float* const gates = row(gate_up, t);
      const float* const ups = gates + (gate.paired ? 1 : out.cols);
      for (std::int64_t f = 0; f < out.cols; ++f) {
        const auto g = static_cast<double>(std::min(gates[f * step], gate.limit));
        const auto u =
            static_cast<double>(std::min(std::max(ups[f * step], -gate.limit), gate.limit));
        row(out, t)[f] = static_cast<float>((u + 1.0) * g /
                                            (1.0 + std::exp(-static_cast<double>(gate.alpha) * g)));
      }
    }
  }
  void xielu(const Weight& parameters, Tensor x) noexcept override {
    const float* const p = dense(parameters).row(0);
    const auto softplus = [](float value) {
      return std::log1p(std::exp(static_cast<double>(value)));
    };
    const auto beta = static_cast<double>(p[2]);
    const auto eps = static_cast<double>(p[3]);
    const double positive = softplus(p[0]);
    const double negative = beta + softplus(p[1]);
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const auto v = static_cast<double>(row(x, t)[i]);
        const double curved =
            v > 0.0 ? positive * v * v : negative * (std::expm1(std::min(v, eps)) - v);
        row(x, t)[i] = static_cast<float>(curved + beta * v);
      }
    }
  }
  void scale_by_position(const PositionScale& scale, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const float factor = position_factor(scale, step_->positions[static_cast<std::size_t>(t)]);
      for (std::int64_t i = 0; i < x.cols; ++i) row(x, t)[i] *= factor;
    }
  }
  void scale(float factor, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) row(x, t)[i] *= factor;
    }
  }
  void multiply(Tensor y, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) row(x, t)[i] *= row(y, t)[y.cols == 1 ? 0 : i];
    }
  }
  void softplus(Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) {
        row(x, t)[i] = static_cast<float>(device::softplus(static_cast<double>(row(x, t)[i])));
      }
    }
  }
  void short_conv(StateRef state, const Weight& taps, const Weight* bias, const Activation* act,
                  Tensor x, Tensor out) noexcept override {
    const std::int64_t n_taps = taps.in_features() / x.cols;
    each_state_row(state, (n_taps - 1) * x.cols, [&](float* rows_before, std::int64_t t) {
      conv_row(dense(taps).row(0), bias == nullptr ? nullptr : dense(*bias).row(0), n_taps, x.cols,
               row(x, t), rows_before, row(out, t));
    });
    if (act != nullptr) activation(*act, out);
  }
  void time_steps(const TimeStepSpec& spec, const Weight* bias, const Weight* rates, Tensor dt,
                  Tensor log_decay) noexcept override {
    const float* shifts = bias == nullptr ? nullptr : dense(*bias).row(0);
    for (std::int64_t t = 0; t < dt.rows; ++t) {
      float* steps = row(dt, t);
      for (std::int64_t i = 0; i < dt.cols; ++i) {
        const double x = static_cast<double>(steps[i]) +
                         (shifts == nullptr ? 0.0 : static_cast<double>(shifts[i]));
        steps[i] = std::clamp(static_cast<float>(device::softplus(x)), spec.min, spec.max);
      }
      for (std::int64_t i = 0; i < log_decay.cols; ++i) {
        const std::int64_t rate = i * rates->in_features() / log_decay.cols;
        row(log_decay, t)[i] =
            dense(*rates).row(0)[rate] * steps[dt.cols == log_decay.cols ? i : rate];
      }
    }
  }
  void channel_scan(StateRef state, const Weight& rates, const Weight& skip, Tensor dt, Tensor b,
                    Tensor c, Tensor x, Tensor out) noexcept override {
    each_state_row(state, b.cols * x.cols, [&](float* h, std::int64_t t) {
      scan_row(dense(rates).row(0), dense(skip).row(0), b.cols, x.cols,
               {row(dt, t), row(b, t), row(c, t), row(x, t)}, h, row(out, t));
    });
  }
  void linear_attention(const LinearAttentionSpec& spec, StateRef state,
                        const LinearAttentionRows& rows, Tensor out) noexcept override {
    const float* const fixed =
        rows.fixed_log_decay == nullptr ? nullptr : dense(*rows.fixed_log_decay).row(0);
    const bool by_key = rows.log_decay.cols > spec.n_heads;
    each_state_row(state, spec.state_floats(), [&](float* states, std::int64_t t) {
      const float* const decays = fixed != nullptr ? fixed : row(rows.log_decay, t);
      for (int h = 0; h < spec.n_heads; ++h) {
        const int key_head = h / (spec.n_heads / spec.n_key_heads);
        HeadRow head{row(rows.q, t) + std::int64_t{key_head} * spec.key_dim,
                     row(rows.k, t) + std::int64_t{key_head} * spec.key_dim,
                     row(rows.v, t) + std::int64_t{h} * spec.value_dim,
                     decays + (by_key ? std::int64_t{h} * spec.key_dim : h), by_key};
        if (rows.v_scale.data != nullptr)
          head.v_scale = static_cast<double>(row(rows.v_scale, t)[h]);
        if (rows.skip != nullptr) head.skip = static_cast<double>(dense(*rows.skip).row(0)[h]);
        if (spec.delta) {
          const auto score = static_cast<double>(row(rows.beta, t)[h]);
          head.beta = static_cast<double>(spec.beta_scale) / (1.0 + std::exp(-score));
        }
        attend_row(spec, head, states + std::int64_t{h} * spec.key_dim * spec.value_dim,
                   row(out, t) + std::int64_t{h} * spec.value_dim);
      }
    });
  }
  void gated_scan(StateRef state, const GatedScanRows& rows, Tensor out) noexcept override {
    each_state_row(state, out.cols, [&](float* h, std::int64_t t) {
      gated_row({row(rows.x, t), row(rows.input_gate, t), row(rows.decay_gate, t),
                 dense(*rows.input_bias).row(0), dense(*rows.decay_bias).row(0),
                 dense(*rows.rates).row(0), step_->positions[static_cast<std::size_t>(t)] == 0},
                out.cols, h, row(out, t));
    });
  }
  void decaying_mean(StateRef state, const Weight& rates, const Weight& first, Tensor k, Tensor v,
                     Tensor out) noexcept override {
    each_state_row(state, 3 * out.cols, [&](float* own, std::int64_t t) {
      mean_row(dense(rates).row(0), dense(first).row(0), out.cols, row(k, t), row(v, t), own,
               row(out, t));
    });
  }
  void disentangled_attention(const DisentangledSpec& spec, Tensor q, Tensor k, Tensor v,
                              Tensor key_rows, Tensor query_rows, Tensor out) noexcept override {
    for (const step::SequenceRows& sequence : step_->sequences) {
      for (std::int64_t i = 0; i < sequence.n_rows; ++i) {
        for (std::int64_t h = 0; h < spec.n_heads; ++h)
          attend_disentangled(spec, sequence, {i, h}, {q, k, v, key_rows, query_rows}, out);
      }
    }
  }
  void scale_columns(const Weight& factors, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) row(x, t)[i] *= dense(factors).row(0)[i];
    }
  }
  void add_scaled_rows(Tensor factors, Tensor x, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i) row(out, t)[i] += row(factors, t)[0] * row(x, t)[i];
    }
  }
  void match_sizes(Tensor like, float least, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const double size =
          std::sqrt(dot(row(x, t), row(x, t), x.cols) / static_cast<double>(x.cols));
      const double wanted =
          std::sqrt(dot(row(like, t), row(like, t), like.cols) / static_cast<double>(like.cols));
      const double factor = wanted / std::max(size, static_cast<double>(least));
      for (std::int64_t i = 0; i < x.cols; ++i)
        row(x, t)[i] = static_cast<float>(static_cast<double>(row(x, t)[i]) * factor);
    }
  }
  void cut_below(float n_deviations, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      double mean = 0.0;
      double square = 0.0;
      for (std::int64_t i = 0; i < x.cols; ++i) mean += static_cast<double>(row(x, t)[i]);
      mean /= static_cast<double>(x.cols);
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const double centred = static_cast<double>(row(x, t)[i]) - mean;
        square += centred * centred;
      }
      const double cutoff = mean + static_cast<double>(n_deviations) *
                                       std::sqrt(square / static_cast<double>(x.cols));
      for (std::int64_t i = 0; i < x.cols; ++i) {
        row(x, t)[i] =
            static_cast<float>(std::max(0.0, static_cast<double>(row(x, t)[i]) - cutoff));
      }
    }
  }
  void clamp(float limit, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < x.cols; ++i)
        row(x, t)[i] = std::min(std::max(row(x, t)[i], -limit), limit);
    }
  }

  void shift_rows(int offset, Tensor x, Tensor out) noexcept override {
    device::shift_rows(*step_, offset, x, out);
  }
  void copy(Tensor x, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) std::copy_n(row(x, t), x.cols, row(out, t));
  }
  void add(Tensor x, Tensor y, float scale, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t d = 0; d < x.cols; ++d)
        row(out, t)[d] = row(x, t)[d] + row(y, t)[d] * scale;
    }
  }

  void route(Routing& routing, const Weight* bias, Tensor scores) noexcept override {
    RoutedSlots& slots = static_cast<HostRouting&>(routing).slots;
    slots.resize(scores.rows);
    const float* shift = bias == nullptr ? nullptr : dense(*bias).row(0);
    for (std::int64_t t = 0; t < scores.rows; ++t) slots.choose(t, row(scores, t), shift);
    slots.sort();
  }
  void scatter_to_experts(const Routing& routing, Tensor x, Tensor out) noexcept override {
    const RoutedSlots& slots = static_cast<const HostRouting&>(routing).slots;
    for (std::int64_t slot = 0; slot < out.rows; ++slot) {
      const float* const from = row(x, slots.row_of(slot));
      for (std::int64_t i = 0; i < x.cols; ++i)
        row(out, slot)[i] = from[i] * slots.input_weight(slot);
    }
  }
  void grouped_linear(const Routing& routing, std::span<const Weight* const> experts,
                      std::span<const Weight* const> biases, ExpertDeltas deltas, Tensor x,
                      Tensor out) noexcept override {
    const RoutedSlots& slots = static_cast<const HostRouting&>(routing).slots;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const auto expert = static_cast<int>(e);
      const std::int64_t n = slots.begin(expert + 1) - slots.begin(expert);
      std::vector<LinearDelta> own;
      for (const ExpertDelta& delta : deltas) {
        if (delta.expert != expert) continue;
        own.push_back(slots.of_slots(delta));
        own.back().first_row -= slots.begin(expert);
      }
      linear(*experts[e], biases.empty() ? nullptr : biases[e], own,
             x.row_range(slots.begin(expert), n), out.row_range(slots.begin(expert), n));
    }
  }
  void gather_from_experts(const Routing& routing, Tensor x, Tensor out) noexcept override {
    const RoutedSlots& slots = static_cast<const HostRouting&>(routing).slots;
    for (std::int64_t t = 0; t < out.rows; ++t) {
      std::fill_n(row(out, t), out.cols, 0.0F);
      for (int i = 0; i < slots.top_k(); ++i) {
        const RoutedSlots::Slot slot = slots.slot(t, i);
        for (std::int64_t d = 0; d < out.cols; ++d) {
          row(out, t)[d] += slot.weight * row(x, slot.index)[d];
        }
      }
    }
  }
  void gather_outputs(Tensor x, Tensor out) noexcept override {
    std::int64_t to = 0;
    for (const auto* rows : {&step_->logit_rows, &step_->hidden_rows}) {
      for (const std::int32_t t : *rows) std::copy_n(row(x, t), x.cols, row(out, to++));
    }
  }
  void read(Tensor x, float* host_out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) std::copy_n(row(x, t), x.cols, host_out + t * x.cols);
  }
  void logits(const Weight& weight, const Weight* bias, LinearDeltas deltas, float scale,
              float soft_cap, Tensor x, float* host_out) noexcept override {
    const std::int64_t n_vocab = weight.out_features();
    linear(weight, bias, deltas, x, {host_out, x.rows, n_vocab, n_vocab});
    for (std::int64_t i = 0; i < x.rows * n_vocab; ++i) {
      double value = static_cast<double>(host_out[i]) * static_cast<double>(scale);
      if (soft_cap > 0.0F) value = cap(value, soft_cap);
      host_out[i] = static_cast<float>(value);
    }
  }

 private:
  /// body(the part of the state, row) for every row, in order.
  template <typename Body>
  void each_state_row(StateRef state, std::int64_t n_floats, Body body) {
    auto& memory = static_cast<ReferenceKvCache&>(state.cache);
    find_segments(*step_, table_of(memory, state.layer), memory.spec().block_size, segments_);
    for (const StateSegment& segment : segments_.segments) {
      float* to = memory.state(state.layer, segment.to) + state.begin;
      if (segment.from < 0) {
        std::fill_n(to, n_floats, 0.0F);
      } else if (segment.from != segment.to) {
        std::copy_n(memory.state(state.layer, segment.from) + state.begin, n_floats, to);
      }
      for (std::int64_t i = 0; i < segment.n_rows; ++i) body(to, segment.first_row + i);
    }
  }

  static double cap(double value, float soft_cap) {
    return static_cast<double>(soft_cap) * std::tanh(value / static_cast<double>(soft_cap));
  }

  static void norm_group(const NormSpec& spec, const float* weight, const float* bias,
                         std::int64_t n, const float* x, float* out) {
    double mean = 0.0;
    if (spec.kind == NormKind::kLayer) {
      for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]);
      mean /= static_cast<double>(n);
    }
    double square = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double centred = static_cast<double>(x[i]) - mean;
      square += centred * centred;
    }
    const double inverse =
        1.0 / std::sqrt(square / static_cast<double>(n) + static_cast<double>(spec.eps));
    for (std::int64_t i = 0; i < n; ++i) {
      const double gain = static_cast<double>(weight[i]) + static_cast<double>(spec.weight_offset);
      double value = (static_cast<double>(x[i]) - mean) * inverse * gain;
      if (bias != nullptr) value += static_cast<double>(bias[i]);
      out[i] = static_cast<float>(value);
    }
  }

  static std::int32_t block_of(const step::BlockTable& table, std::size_t sequence,
                               std::int64_t block) {
    return table.ids[static_cast<std::size_t>(table.begin[sequence] + block)];
  }

  const step::BlockTable& table_of(const ReferenceKvCache& memory, int layer) {
    const int group = memory.spec().layers[static_cast<std::size_t>(layer)].group;
    if (group != KvLayerSpec::kOwnRows) return step_->block_tables[static_cast<std::size_t>(group)];
    own_table_ = own_rows_table(*step_, memory.spec().block_size);
    return own_table_;
  }

  static void rotate_row(const RopeSpec& spec, const std::vector<float>& inv_freq, int head_dim,
                         std::int32_t position, Tensor x, std::int64_t t) {
    const int half = spec.n_rotary / 2;
    for (int i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * inv_freq[static_cast<std::size_t>(i)];
      const float c = std::cos(angle) * spec.attention_factor;
      const float s = std::sin(angle) * spec.attention_factor;
      const bool halves = spec.style == RopeStyle::kHalves;
      const int first = halves ? i : 2 * i;
      const int second = halves ? i + half : 2 * i + 1;
      for (std::int64_t begin = 0; begin < x.cols; begin += head_dim) {
        float* head = row(x, t) + begin;
        const float a = head[first];
        const float b = head[second];
        head[first] = a * c - b * s;
        head[second] = b * c + a * s;
      }
    }
  }

  /// One query head against the cache: softmax with the maximum subtracted, keys in ascending
  /// order.
  void attend(const Attended& a, std::size_t sequence, int head, Visible range,
              std::int64_t position, const float* q, float* out) {
    const AttentionSpec& spec = a.spec;
    const int block_size = a.memory.spec().block_size;
    const int kv_head = head / (spec.n_heads / spec.n_kv_heads);
    const auto load = [&](bool is_value, std::int64_t p) {
      a.memory.load(a.layer, is_value, block_of(a.table, sequence, p / block_size), kv_head,
                    static_cast<int>(p % block_size), vector_.data());
    };
    const auto value_dim = static_cast<std::size_t>(spec.value_dim);
    scores_.clear();
    vector_.resize(static_cast<std::size_t>(std::max(spec.head_dim, spec.value_dim)));
    sums_.assign(value_dim, 0.0);
    double best = -std::numeric_limits<double>::infinity();
    for (std::int64_t p = range.begin; p < range.end; ++p) {
      load(false, p);
      double score = dot(q, vector_.data(), spec.head_dim) * static_cast<double>(spec.scale);
      if (spec.soft_cap > 0.0F) score = cap(score, spec.soft_cap);
      if (spec.bias != nullptr) {
        score += static_cast<double>(
            static_cast<const HostPositionBias*>(spec.bias)->at(head, p - position));
      }
      best = std::max(best, score);
      scores_.push_back(score);
    }
    double total = 0.0;
    if (spec.sinks != nullptr) {
      const auto sink = static_cast<double>(dense(*spec.sinks).row(0)[head]);
      best = std::max(best, sink);
      total = std::exp(sink - best);
    }
    for (std::int64_t p = range.begin; p < range.end; ++p) {
      const double weight = std::exp(scores_[static_cast<std::size_t>(p - range.begin)] - best);
      total += weight;
      load(true, p);
      for (std::size_t d = 0; d < value_dim; ++d)
        sums_[d] += weight * static_cast<double>(vector_[d]);
    }
    for (std::size_t d = 0; d < value_dim; ++d) {
      out[d] = total > 0.0 ? static_cast<float>(sums_[d] / total) : 0.0F;
    }
  }

  /// One head's query i of a sequence; tensors have that head's columns.
  const step::Step* step_ = nullptr;
  step::BlockTable own_table_{};
  StateSegments segments_{};
  std::vector<double> scores_;
  std::vector<double> sums_;
  std::vector<float> vector_;
};

}  // namespace

std::unique_ptr<Device> make_reference_device(const DeviceOptions& /*options*/) {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace openllm::device

#include "model/blocks/gated_delta.h"

#include <cmath>

#include "model/blocks/gated_delta_rounds.h"
#include "model/blocks/linear.h"
#include "model/blocks/state_weights.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// What the length of q and k is computed with.
constexpr float kLengthEps = 1e-6F;

class GatedDelta final : public Mixer {
 public:
  GatedDelta(const GatedDeltaSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        n_rounds_(builder.loader.index().has(role::kDeltaRoundsQkv, at)
                      ? spec.n_heads / spec.n_key_heads
                      : 1),
        in_(builder, in_parts(spec, builder, at), builder.dim, at),
        step_bias_(builder.loader.values(role::kDeltaStepBias, at, spec.n_steps())),
        rates_(load_rates(builder, role::kDeltaRates, at, spec.n_heads)),
        norm_(builder, role::kDeltaNorm, at, spec.value_dim,
              {{device::NormKind::kRms, spec.norm_eps}}),
        out_(builder, {{role::kDeltaOutput, builder.dim}}, spec.v_width(), at) {
    // A vector of length one is its RMS norm over the root of its size; q is divided by that root
    // once more, as in attention.
    const float size = static_cast<float>(spec.key_dim);
    length_.eps = kLengthEps / size;
    q_length_ = builder.loader.constant(spec.key_dim, 1.0F / size);
    k_length_ = builder.loader.constant(spec.key_dim, 1.0F / std::sqrt(size));
    attention_.n_heads = spec.n_heads / n_rounds_;
    attention_.n_key_heads = spec.n_key_heads;
    attention_.key_dim = spec.key_dim;
    attention_.value_dim = spec.value_dim;
    attention_.delta = true;
    attention_.beta_scale = spec.beta_scale;
    load_convolutions(builder, at);
    if (spec.rank > 0) {
      gate_ = Linear(builder, {{role::kDeltaGate, spec.v_width()}}, spec.rank, at);
      steps_ = Linear(builder, {{role::kDeltaStep, spec.n_steps()}}, spec.rank, at);
    }
  }

  std::int64_t width() const noexcept override { return spec_.v_width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, in_.n_out()) + Scratch::size_of(n_rows, spec_.n_steps()) +
           (spec_.rank > 0 ? Scratch::size_of(n_rows, spec_.v_width() + spec_.n_steps()) : 0);
  }
  KvNeed kv_need() const noexcept override {
    return state_need(n_conv_state() + n_rounds_ * attention_.state_floats());
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_rows = input.x.rows;
    const Tensor all = run.scratch.take(n_rows, in_.n_out());
    in_.run(run, input, all);
    const Tensor qkv = all.columns(0, n_conv());
    Tensor gate = all.columns(n_conv(), gate_columns());
    const Tensor beta = all.columns(n_conv() + gate.cols, spec_.n_heads);
    Tensor steps = all.columns(n_conv() + gate.cols + spec_.n_heads, step_columns());
    if (spec_.rank > 0) {
      const Tensor wide = run.scratch.take(n_rows, spec_.v_width() + spec_.n_steps());
      gate_.run(run, gate, wide.columns(0, spec_.v_width()));
      steps_.run(run, steps, wide.columns(spec_.v_width(), spec_.n_steps()));
      gate = wide.columns(0, spec_.v_width());
      steps = wide.columns(spec_.v_width(), spec_.n_steps());
    }
    for (const Convolution& conv : convolutions_) {
      const Tensor part = qkv.columns(conv.begin, conv.width);
      device.short_conv({run.kv, kv_layer, (spec_.n_taps - 1) * conv.begin}, *conv.taps, nullptr,
                        &spec_.activation, part, part);
    }
    device::LinearAttentionRows rows;
    rows.q = qkv.columns(0, spec_.k_width());
    rows.k = qkv.columns(spec_.k_width(), spec_.k_width());
    rows.v = qkv.columns(2 * spec_.k_width(), spec_.v_width());
    rows.log_decay = run.scratch.take(n_rows, spec_.n_steps());
    rows.beta = beta;
    device.norm(length_, *q_length_, nullptr, rows.q, rows.q);
    device.norm(length_, *k_length_, nullptr, rows.k, rows.k);
    device.time_steps({}, step_bias_.get(), rates_.get(), steps, rows.log_decay);
    attend(run, kv_layer, rows, mixed);
    norm_.run(run, mixed, mixed);
    if (spec_.sigmoid_gate) {
      device.apply_gate(gate, mixed);
      return;
    }
    device.activation(device::Activation::kSilu, gate);
    device.multiply(gate, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  void attend(Run& run, int kv_layer, const device::LinearAttentionRows& rows, Tensor mixed) const {
    const std::int64_t n_heads = attention_.n_heads;
    const std::int64_t n_columns = n_heads * attention_.value_dim;
    for (std::int64_t i = 0; i < n_rounds_; ++i) {
      device::LinearAttentionRows round = rows;
      if (n_rounds_ > 1) {
        round.v = rows.v.columns(i * n_columns, n_columns);
        round.beta = rows.beta.columns(i * n_heads, n_heads);
        round.log_decay = rows.log_decay.columns(i * n_heads, n_heads);
      }
      run.device.linear_attention(
          attention_, {run.kv, kv_layer, n_conv_state() + i * attention_.state_floats()}, round,
          mixed.columns(i * n_columns, n_columns));
    }
  }

  /// Of some columns of q, k and v.
  struct Convolution {
    std::int64_t begin = 0;
    std::int64_t width = 0;
    WeightPtr taps{};
  };
  void load_convolutions(BlockBuilder& builder, At at) {
    const auto load = [&](Role role, std::int64_t begin, std::int64_t width) {
      convolutions_.push_back(
          {begin, width, load_conv_taps(builder, role, at, spec_.n_taps, width)});
    };
    if (!builder.loader.index().has(role::kDeltaQTaps, at)) {
      load(role::kDeltaTaps, 0, n_conv());
      return;
    }
    load(role::kDeltaQTaps, 0, spec_.k_width());
    load(role::kDeltaKTaps, spec_.k_width(), spec_.k_width());
    load(role::kDeltaVTaps, 2 * spec_.k_width(), spec_.v_width());
  }

  /// What the input gives for the gate and for the steps.
  std::int64_t gate_columns() const noexcept {
    return spec_.rank > 0 ? spec_.rank : spec_.v_width();
  }
  std::int64_t step_columns() const noexcept { return spec_.rank > 0 ? spec_.rank : spec_.n_heads; }
  std::int64_t n_conv() const noexcept { return 2 * spec_.k_width() + spec_.v_width(); }
  std::int64_t n_conv_state() const noexcept { return (spec_.n_taps - 1) * n_conv(); }

  /// q, k, v, gate, beta, steps, whatever order the file has them in.
  static std::vector<LinearPart> in_parts(const GatedDeltaSpec& spec, BlockBuilder& builder,
                                          At at) {
    const std::int64_t n_heads = spec.n_heads;
    const TensorIndex& index = builder.loader.index();
    if (index.has(role::kDeltaAll, at)) {
      return {{role::kDeltaAll, 2 * (spec.k_width() + spec.v_width() + n_heads)}};
    }
    if (!index.has(role::kDeltaQkvGate, at)) {
      const bool in_rounds = index.has(role::kDeltaRoundsQkv, at);
      std::vector<LinearPart> parts = {{in_rounds ? role::kDeltaRoundsQkv : role::kDeltaQkv,
                                        2 * spec.k_width() + spec.v_width()}};
      if (index.has(role::kDeltaQ, at)) {
        parts = {{role::kDeltaQ, spec.k_width()},
                 {role::kDeltaK, spec.k_width()},
                 {role::kDeltaV, spec.v_width()}};
      }
      if (spec.rank > 0) {
        parts.push_back({role::kDeltaLowGate, spec.rank});
        parts.push_back({role::kDeltaBeta, n_heads});
        parts.push_back({role::kDeltaLowStep, spec.rank});
      } else if (index.has(role::kDeltaBetaStep, at)) {
        parts.push_back({role::kDeltaGate, spec.v_width()});
        add_beta_and_steps(spec, parts);
      } else {
        parts.push_back({role::kDeltaGate, spec.v_width()});
        parts.push_back({role::kDeltaBeta, n_heads});
        parts.push_back({role::kDeltaStep, n_heads});
      }
      return parts;
    }
    const std::int64_t n = spec.n_key_heads;
    const std::int64_t k = spec.key_dim;
    const std::int64_t v = spec.v_width() / n;
    const std::int64_t all = 2 * k + 2 * v;
    std::vector<LinearPart> parts = {
        {role::kDeltaQkvGate, n * k, false, 0, {n, all, 0, k}},
        {role::kDeltaQkvGate, n * k, false, 0, {n, all, k, k}},
        {role::kDeltaQkvGate, n * v, false, 0, {n, all, 2 * k, v}},
        {role::kDeltaQkvGate, n * v, false, 0, {n, all, 2 * k + v, v}}};
    add_beta_and_steps(spec, parts);
    return parts;
  }
  static void add_beta_and_steps(const GatedDeltaSpec& spec, std::vector<LinearPart>& parts) {
    const std::int64_t n = spec.n_key_heads;
    const std::int64_t heads = spec.n_heads / n;
    const LinearPart part{role::kDeltaBetaStep, spec.n_heads, false, 0, {n, 2 * heads, 0, heads}};
    parts.push_back(part);
    parts.push_back(part);
    parts.back().rows.begin = heads;
  }

  const GatedDeltaSpec spec_;
  const int n_rounds_;  ///< Of value heads, one for each key head; 1: they come in a row.
  device::LinearAttentionSpec attention_{};
  device::NormSpec length_{};
  const Linear in_;
  std::vector<Convolution> convolutions_{};
  Linear gate_{};  ///< Behind `rank` columns; so the next.
  Linear steps_{};
  const WeightPtr step_bias_;
  const WeightPtr rates_;
  const Norm norm_;
  const Linear out_;
  WeightPtr q_length_{};
  WeightPtr k_length_{};
};

}  // namespace

std::unique_ptr<Mixer> make_gated_delta(const GatedDeltaSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<GatedDelta>(spec, builder, at);
}

}  // namespace openllm::model

#include "model/blocks/gated_delta.h"

#include <cmath>

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
        in_(builder, in_parts(spec, builder, at), builder.dim, at),
        taps_(load_conv_taps(builder, role::kDeltaTaps, at, spec.n_taps, n_conv())),
        step_bias_(builder.loader.values(role::kDeltaStepBias, at, spec.n_heads)),
        rates_(load_rates(builder, role::kDeltaRates, at, spec.n_heads)),
        norm_weight_(builder.loader.vector(role::kDeltaNorm, at, spec.value_dim)),
        out_(builder, {{role::kDeltaOutput, builder.dim}}, spec.v_width(), at) {
    // A vector of length one is its RMS norm over the root of its size; q is divided by that root
    // once more, as in attention.
    const float size = static_cast<float>(spec.key_dim);
    length_.eps = kLengthEps / size;
    q_length_ = builder.loader.constant(spec.key_dim, 1.0F / size);
    k_length_ = builder.loader.constant(spec.key_dim, 1.0F / std::sqrt(size));
    norm_.eps = spec.norm_eps;
    attention_.n_heads = spec.n_heads;
    attention_.n_key_heads = spec.n_key_heads;
    attention_.key_dim = spec.key_dim;
    attention_.value_dim = spec.value_dim;
    attention_.delta = true;
  }

  std::int64_t width() const noexcept override { return spec_.v_width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, in_.n_out()) + Scratch::size_of(n_rows, spec_.n_heads);
  }
  KvNeed kv_need() const noexcept override {
    return state_need(n_conv_state() + attention_.state_floats());
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_rows = input.x.rows;
    const Tensor all = run.scratch.take(n_rows, in_.n_out());
    in_.run(run, input, all);
    const Tensor qkv = all.columns(0, n_conv());
    const Tensor gate = all.columns(n_conv(), spec_.v_width());
    const Tensor beta = all.columns(n_conv() + spec_.v_width(), spec_.n_heads);
    const Tensor steps = all.columns(n_conv() + spec_.v_width() + spec_.n_heads, spec_.n_heads);
    device.short_conv({run.kv, kv_layer, 0}, *taps_, nullptr, &spec_.activation, qkv, qkv);
    device::LinearAttentionRows rows;
    rows.q = qkv.columns(0, spec_.k_width());
    rows.k = qkv.columns(spec_.k_width(), spec_.k_width());
    rows.v = qkv.columns(2 * spec_.k_width(), spec_.v_width());
    rows.log_decay = run.scratch.take(n_rows, spec_.n_heads);
    rows.beta = beta;
    device.norm(length_, *q_length_, nullptr, rows.q, rows.q);
    device.norm(length_, *k_length_, nullptr, rows.k, rows.k);
    device.time_steps({}, step_bias_.get(), rates_.get(), steps, rows.log_decay);
    device.linear_attention(attention_, {run.kv, kv_layer, n_conv_state()}, rows, mixed);
    device.norm(norm_, *norm_weight_, nullptr, mixed, mixed);
    device.activation(device::Activation::kSilu, gate);
    device.multiply(gate, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  std::int64_t n_conv() const noexcept { return 2 * spec_.k_width() + spec_.v_width(); }
  std::int64_t n_conv_state() const noexcept { return (spec_.n_taps - 1) * n_conv(); }

  /// q, k, v, gate, beta, steps, whatever order the file has them in.
  static std::vector<LinearPart> in_parts(const GatedDeltaSpec& spec, BlockBuilder& builder,
                                          At at) {
    const std::int64_t n_heads = spec.n_heads;
    if (!builder.loader.index().has(role::kDeltaQkvGate, at)) {
      return {{role::kDeltaQkv, 2 * spec.k_width() + spec.v_width()},
              {role::kDeltaGate, spec.v_width()},
              {role::kDeltaBeta, n_heads},
              {role::kDeltaStep, n_heads}};
    }
    const std::int64_t n = spec.n_key_heads;
    const std::int64_t k = spec.key_dim;
    const std::int64_t v = spec.v_width() / n;
    const std::int64_t all = 2 * k + 2 * v;
    const std::int64_t heads = n_heads / n;
    return {{role::kDeltaQkvGate, n * k, false, 0, {n, all, 0, k}},
            {role::kDeltaQkvGate, n * k, false, 0, {n, all, k, k}},
            {role::kDeltaQkvGate, n * v, false, 0, {n, all, 2 * k, v}},
            {role::kDeltaQkvGate, n * v, false, 0, {n, all, 2 * k + v, v}},
            {role::kDeltaBetaStep, n_heads, false, 0, {n, 2 * heads, 0, heads}},
            {role::kDeltaBetaStep, n_heads, false, 0, {n, 2 * heads, heads, heads}}};
  }

  const GatedDeltaSpec spec_;
  device::LinearAttentionSpec attention_{};
  device::NormSpec length_{};
  device::NormSpec norm_{};
  const Linear in_;
  const WeightPtr taps_;
  const WeightPtr step_bias_;
  const WeightPtr rates_;
  const WeightPtr norm_weight_;
  const Linear out_;
  WeightPtr q_length_{};
  WeightPtr k_length_{};
};

}  // namespace

std::unique_ptr<Mixer> make_gated_delta(const GatedDeltaSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<GatedDelta>(spec, builder, at);
}

}  // namespace openllm::model

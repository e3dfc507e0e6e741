#include "model/blocks/mamba2.h"

#include <optional>

#include "model/blocks/linear.h"
#include "model/blocks/state_weights.h"

namespace openllm::model {
namespace {

using device::Tensor;

class Mamba2 final : public Mixer {
 public:
  Mamba2(const Mamba2Spec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        in_(builder, {{role::kMamba2Input, n_in(), spec.bias}}, builder.dim, at),
        taps_(load_conv_taps(builder, role::kMamba2Taps, at, spec.n_taps, n_conv())),
        step_bias_(builder.loader.values(role::kMamba2StepBias, at, spec.n_heads)),
        rates_(load_rates(builder, role::kMamba2Rates, at, spec.n_heads)),
        skip_(builder.loader.values(role::kMamba2Skip, at, spec.n_heads)),
        out_(builder, {{role::kMamba2Output, builder.dim, spec.output_bias}}, spec.width(), at) {
    if (spec.conv_bias) conv_bias_ = builder.loader.bias(role::kMamba2Taps, at, n_conv());
    if (spec.gating != Mamba2Spec::Gating::kNone) {
      NormSpec norm{{device::NormKind::kRms, spec.norm_eps}};
      norm.group = static_cast<int>(spec.width() / spec.norm_groups);
      norm_.emplace(builder, role::kMamba2Norm, at, spec.width(), norm);
    }
    attention_.n_heads = spec.n_heads;
    attention_.n_key_heads = spec.n_groups;
    attention_.key_dim = spec.n_numbers;
    attention_.value_dim = spec.head_dim;
  }

  std::int64_t width() const noexcept override { return spec_.width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, n_in()) + Scratch::size_of(n_rows, spec_.n_heads);
  }
  KvNeed kv_need() const noexcept override {
    return state_need(n_conv_state() + attention_.state_floats());
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_rows = input.x.rows;
    const std::int64_t n = spec_.width();
    const Tensor all = run.scratch.take(n_rows, n_in());
    in_.run(run, input, all);
    const Tensor gate = all.columns(0, n);
    const Tensor conv = all.columns(n, n_conv());
    const Tensor dt = all.columns(n + n_conv(), spec_.n_heads);
    const Tensor x = conv.columns(0, n);
    const Tensor b = conv.columns(n, spec_.n_shared());
    const Tensor c = conv.columns(n + spec_.n_shared(), spec_.n_shared());
    scale_inputs(run, {gate, x, b, c, dt});
    device.short_conv({run.kv, kv_layer, 0}, *taps_, conv_bias_.get(), &spec_.activation, conv,
                      conv);
    const Tensor log_decay = run.scratch.take(n_rows, spec_.n_heads);
    device.time_steps(spec_.steps, step_bias_.get(), rates_.get(), dt, log_decay);
    device::LinearAttentionRows rows;
    rows.q = c;
    rows.k = b;
    rows.v = x;
    rows.log_decay = log_decay;
    rows.v_scale = dt;
    rows.skip = skip_.get();
    device.linear_attention(attention_, {run.kv, kv_layer, n_conv_state()}, rows, mixed);
    device.activation(device::Activation::kSilu, gate);
    if (spec_.gating == Mamba2Spec::Gating::kAfterNorm) norm_->run(run, mixed, mixed);
    device.multiply(gate, mixed);
    if (spec_.gating == Mamba2Spec::Gating::kBeforeNorm) norm_->run(run, mixed, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override {
    out_.run(run, mixed, out);
    if (spec_.output_scale != 1.0F) run.device.scale(spec_.output_scale, out);
  }

 private:
  /// Columns that the convolution covers.
  std::int64_t n_conv() const noexcept { return spec_.width() + 2 * spec_.n_shared(); }
  std::int64_t n_in() const noexcept { return spec_.width() + n_conv() + spec_.n_heads; }
  std::int64_t n_conv_state() const noexcept { return (spec_.n_taps - 1) * n_conv(); }

  void scale_inputs(Run& run, std::initializer_list<Tensor> parts) const {
    if (spec_.scales.empty()) return;
    std::size_t i = 0;
    for (const Tensor& part : parts) run.device.scale(spec_.scales[i++], part);
  }

  const Mamba2Spec spec_;
  device::LinearAttentionSpec attention_{};
  const Linear in_;
  const WeightPtr taps_;
  WeightPtr conv_bias_{};
  const WeightPtr step_bias_;
  const WeightPtr rates_;
  const WeightPtr skip_;
  std::optional<Norm> norm_{};
  const Linear out_;
};

}  // namespace

std::unique_ptr<Mixer> make_mamba2(const Mamba2Spec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<Mamba2>(spec, builder, at);
}

}  // namespace openllm::model

#include "model/blocks/mamba.h"

#include "model/blocks/linear.h"
#include "model/blocks/state_weights.h"

namespace openllm::model {
namespace {

using device::Tensor;

class Mamba final : public Mixer {
 public:
  Mamba(const MambaSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        n_(spec.n_columns),
        in_(builder, {{role::kMambaInput, 2 * n_, spec.bias}}, builder.dim, at),
        taps_(load_conv_taps(builder, role::kMambaTaps, at, spec.n_taps, n_)),
        select_(builder, {{role::kMambaSelect, n_selected()}}, n_, at),
        step_(builder, {{role::kMambaStep, n_}}, spec.step_rank, at),
        step_bias_(builder.loader.bias(role::kMambaStep, at, n_)),
        rates_(load_rates(builder, role::kMambaRates, at, n_, spec.n_numbers)),
        skip_(builder.loader.values(role::kMambaSkip, at, n_)),
        out_(builder, {{role::kMambaOutput, builder.dim, spec.bias}}, n_, at) {
    if (spec.conv_bias) conv_bias_ = builder.loader.bias(role::kMambaTaps, at, n_);
    if (!spec.norms) return;
    step_norm_.emplace(builder, role::kMambaStepNorm, at, spec.step_rank, *spec.norms);
    b_norm_.emplace(builder, role::kMambaBNorm, at, spec.n_numbers, *spec.norms);
    c_norm_.emplace(builder, role::kMambaCNorm, at, spec.n_numbers, *spec.norms);
  }

  std::int64_t width() const noexcept override { return n_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, 2 * n_) + Scratch::size_of(n_rows, n_selected()) +
           Scratch::size_of(n_rows, n_);
  }
  KvNeed kv_need() const noexcept override {
    return state_need(n_conv_state() + n_ * spec_.n_numbers);
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const std::int64_t n_rows = input.x.rows;
    const Tensor x_gate = run.scratch.take(n_rows, 2 * n_);
    in_.run(run, input, x_gate);
    const Tensor x = x_gate.columns(0, n_);
    const Tensor gate = x_gate.columns(n_, n_);
    device.short_conv({run.kv, kv_layer, 0}, *taps_, conv_bias_.get(), &spec_.activation, x, x);
    const Tensor selected = run.scratch.take(n_rows, n_selected());
    select_.run(run, x, selected);
    const Tensor low = selected.columns(0, spec_.step_rank);
    const Tensor b = selected.columns(spec_.step_rank, spec_.n_numbers);
    const Tensor c = selected.columns(spec_.step_rank + spec_.n_numbers, spec_.n_numbers);
    if (step_norm_) {
      step_norm_->run(run, low, low);
      b_norm_->run(run, b, b);
      c_norm_->run(run, c, c);
    }
    const Tensor dt = run.scratch.take(n_rows, n_);
    step_.run(run, low, dt);
    device.time_steps({}, step_bias_.get(), nullptr, dt, {});
    device.channel_scan({run.kv, kv_layer, n_conv_state()}, *rates_, *skip_, dt, b, c, x, mixed);
    device.activation(device::Activation::kSilu, gate);
    device.multiply(gate, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  std::int64_t n_selected() const noexcept { return spec_.step_rank + 2 * spec_.n_numbers; }
  std::int64_t n_conv_state() const noexcept { return (spec_.n_taps - 1) * n_; }

  const MambaSpec spec_;
  const std::int64_t n_;
  const Linear in_;
  const WeightPtr taps_;
  WeightPtr conv_bias_{};
  const Linear select_;
  const Linear step_;
  const WeightPtr step_bias_;
  const WeightPtr rates_;
  const WeightPtr skip_;
  const Linear out_;
  std::optional<Norm> step_norm_{};
  std::optional<Norm> b_norm_{};
  std::optional<Norm> c_norm_{};
};

}  // namespace

std::unique_ptr<Mixer> make_mamba(const MambaSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<Mamba>(spec, builder, at);
}

}  // namespace openllm::model

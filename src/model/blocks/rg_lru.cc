#include "model/blocks/rg_lru.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/blocks/linear.h"
#include "model/blocks/state_weights.h"

namespace openllm::model {
namespace {

using device::Tensor;

class RgLru final : public Mixer {
 public:
  RgLru(const RgLruSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        n_(spec.n_columns),
        in_(builder, {{role::kRgLruGate, n_, true}, {role::kRgLruInput, n_, true}}, builder.dim,
            at),
        taps_(load_conv_taps(builder, role::kRgLruTaps, at, spec.n_taps, n_)),
        conv_bias_(builder.loader.bias(role::kRgLruTaps, at, n_)),
        input_gates_(load_heads(builder, role::kRgLruInputGate, at)),
        decay_gates_(load_heads(builder, role::kRgLruDecayGate, at)),
        input_bias_(load_bias(builder, role::kRgLruInputGateBias, at)),
        decay_bias_(load_bias(builder, role::kRgLruDecayGateBias, at)),
        rates_(builder.loader.changed(role::kRgLruRates, at, {n_}, "", to_rates)),
        out_(builder, {{role::kRgLruOutput, builder.dim, true}}, n_, at) {}

  std::int64_t width() const noexcept override { return n_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return 2 * Scratch::size_of(n_rows, 2 * n_);
  }
  KvNeed kv_need() const noexcept override { return state_need(n_conv_state() + n_); }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    device::Device& device = run.device;
    const Tensor gate_x = run.scratch.take(input.x.rows, 2 * n_);
    in_.run(run, input, gate_x);
    const Tensor gate = gate_x.columns(0, n_);
    const Tensor x = gate_x.columns(n_, n_);
    device.short_conv({run.kv, kv_layer, 0}, *taps_, conv_bias_.get(), nullptr, x, x);
    const Tensor gates = run.scratch.take(input.x.rows, 2 * n_);
    device::GatedScanRows rows;
    rows.x = x;
    rows.input_gate = gates.columns(0, n_);
    rows.decay_gate = gates.columns(n_, n_);
    rows.input_bias = input_bias_.get();
    rows.decay_bias = decay_bias_.get();
    rows.rates = rates_.get();
    run_heads(run, input_gates_, x, rows.input_gate);
    run_heads(run, decay_gates_, x, rows.decay_gate);
    device.gated_scan({run.kv, kv_layer, n_conv_state()}, rows, mixed);
    device.activation(spec_.activation, gate);
    device.multiply(gate, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  std::int64_t n_conv_state() const noexcept { return (spec_.n_taps - 1) * n_; }
  std::int64_t head_columns() const noexcept { return n_ / spec_.n_heads; }

  std::vector<WeightPtr> load_heads(BlockBuilder& builder, Role role, At at) const {
    std::vector<WeightPtr> heads;
    at.n_experts = spec_.n_heads;
    for (at.expert = 0; at.expert < spec_.n_heads; ++at.expert)
      heads.push_back(builder.loader.slice(role, at, head_columns(), head_columns()));
    return heads;
  }
  WeightPtr load_bias(BlockBuilder& builder, Role role, At at) const {
    return builder.loader.changed(role, at, {spec_.n_heads, head_columns()}, "",
                                  [](std::vector<float>&) {});
  }
  /// The block's c = 8: log a = -8 softplus(parameter).
  static void to_rates(std::vector<float>& values) {
    for (float& value : values)
      value = -8.0F * (std::max(value, 0.0F) + std::log1p(std::exp(-std::fabs(value))));
  }
  void run_heads(Run& run, const std::vector<WeightPtr>& heads, Tensor x, Tensor out) const {
    const std::int64_t n = head_columns();
    std::int64_t begin = 0;
    for (const WeightPtr& head : heads) {
      run.device.linear(*head, nullptr, {}, x.columns(begin, n), out.columns(begin, n));
      begin += n;
    }
  }

  const RgLruSpec spec_;
  const std::int64_t n_;
  const Linear in_;
  const WeightPtr taps_;
  const WeightPtr conv_bias_;
  const std::vector<WeightPtr> input_gates_;
  const std::vector<WeightPtr> decay_gates_;
  const WeightPtr input_bias_;
  const WeightPtr decay_bias_;
  const WeightPtr rates_;
  const Linear out_;
};

}  // namespace

std::unique_ptr<Mixer> make_rg_lru(const RgLruSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<RgLru>(spec, builder, at);
}

}  // namespace openllm::model

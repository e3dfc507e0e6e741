#include "model/blocks/rwkv.h"

#include <cmath>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// A linear of m x[t] + (1 - m) x[t - 1], with a factor m for each column: a convolution of two
/// taps. Its state is the row before.
class BlendedLinear {
 public:
  BlendedLinear(BlockBuilder& builder, Role taps, Role linear, std::int64_t n_out, At at)
      : taps_(builder.loader.changed(taps, at, {1, 1, builder.dim}, "", to_taps)),
        linear_(builder, {{linear, n_out}}, builder.dim, at) {}

  /// `scratch` has x's shape.
  void run(Run& run, device::StateRef state, Tensor x, Tensor scratch, Tensor out) const {
    run.device.short_conv(state, *taps_, nullptr, nullptr, x, scratch);
    linear_.run(run, scratch, out);
  }

 private:
  static void to_taps(std::vector<float>& values) {
    std::vector<float> taps;
    for (const float value : values) taps.push_back(1.0F - value);
    taps.insert(taps.end(), values.begin(), values.end());
    values = std::move(taps);
  }

  const WeightPtr taps_;
  const Linear linear_;
};

class TimeMix final : public Mixer {
 public:
  TimeMix(const TimeMixSpec& spec, BlockBuilder& builder, At at)
      : n_(spec.n_columns),
        dim_(builder.dim),
        key_(builder, role::kTimeMixKeyTaps, role::kTimeMixKey, n_, at),
        value_(builder, role::kTimeMixValueTaps, role::kTimeMixValue, n_, at),
        gate_(builder, role::kTimeMixGateTaps, role::kTimeMixGate, n_, at),
        rates_(builder.loader.changed(role::kTimeMixRates, at, {n_}, "", to_rates)),
        first_(builder.loader.values(role::kTimeMixFirst, at, n_)),
        output_(builder, {{role::kTimeMixOutput, builder.dim}}, n_, at) {}

  std::int64_t width() const noexcept override { return n_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, dim_) + 2 * Scratch::size_of(n_rows, n_);
  }
  KvNeed kv_need() const noexcept override { return state_need(3 * dim_ + 3 * n_); }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor x = input.normalised(run);
    const Tensor blended = run.scratch.take(x.rows, dim_);
    const Tensor key = run.scratch.take(x.rows, n_);
    const Tensor gate = run.scratch.take(x.rows, n_);
    key_.run(run, {run.kv, kv_layer, 0}, x, blended, key);
    value_.run(run, {run.kv, kv_layer, dim_}, x, blended, mixed);
    gate_.run(run, {run.kv, kv_layer, 2 * dim_}, x, blended, gate);
    run.device.decaying_mean({run.kv, kv_layer, 3 * dim_}, *rates_, *first_, key, mixed, mixed);
    run.device.apply_gate(gate, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  static void to_rates(std::vector<float>& values) {
    for (float& value : values) value = -std::exp(value);
  }

  const std::int64_t n_;
  const std::int64_t dim_;
  const BlendedLinear key_;
  const BlendedLinear value_;
  const BlendedLinear gate_;
  const WeightPtr rates_;
  const WeightPtr first_;
  const Linear output_;
};

class ChannelMix final : public Mixer {
 public:
  ChannelMix(const ChannelMixSpec& spec, BlockBuilder& builder, At at)
      : n_(spec.ffn_dim),
        dim_(builder.dim),
        key_(builder, role::kChannelMixKeyTaps, role::kChannelMixKey, n_, at),
        gate_(builder, role::kChannelMixGateTaps, role::kChannelMixGate, dim_, at),
        value_(builder, {{role::kChannelMixValue, dim_}}, n_, at) {}

  /// The FFN's activations and the gate.
  std::int64_t width() const noexcept override { return n_ + dim_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, dim_);
  }
  KvNeed kv_need() const noexcept override { return state_need(2 * dim_); }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor x = input.normalised(run);
    const Tensor blended = run.scratch.take(x.rows, dim_);
    const Tensor key = mixed.columns(0, n_);
    key_.run(run, {run.kv, kv_layer, 0}, x, blended, key);
    gate_.run(run, {run.kv, kv_layer, dim_}, x, blended, mixed.columns(n_, dim_));
    run.device.activation(device::Activation::kReluSquared, key);
  }
  void project(Run& run, Tensor mixed, Tensor out) override {
    value_.run(run, mixed.columns(0, n_), out);
    run.device.apply_gate(mixed.columns(n_, dim_), out);
  }

 private:
  const std::int64_t n_;
  const std::int64_t dim_;
  const BlendedLinear key_;
  const BlendedLinear gate_;
  const Linear value_;
};

}  // namespace

std::unique_ptr<Mixer> make_time_mix(const TimeMixSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<TimeMix>(spec, builder, at);
}

std::unique_ptr<Mixer> make_channel_mix(const ChannelMixSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<ChannelMix>(spec, builder, at);
}

}  // namespace openllm::model

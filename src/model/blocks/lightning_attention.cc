#include "model/blocks/lightning_attention.h"

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

class LightningAttention final : public Mixer {
 public:
  LightningAttention(const LightningAttentionSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        in_(builder, in_parts(spec), builder.dim, at),
        decays_(builder.loader.made_vector(spec.log_decays)),
        norm_(builder, role::kLightningNorm, at, spec.width(),
              {{device::NormKind::kRms, spec.norm_eps}}),
        out_(builder, {{role::kLightningOutput, builder.dim}}, spec.width(), at) {
    attention_.n_heads = spec.n_heads;
    attention_.n_key_heads = spec.n_heads;
    attention_.key_dim = spec.head_dim;
    attention_.value_dim = spec.head_dim;
  }

  std::int64_t width() const noexcept override { return spec_.width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, in_.n_out());
  }
  KvNeed kv_need() const noexcept override { return state_need(attention_.state_floats()); }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const std::int64_t n = spec_.width();
    const Tensor all = run.scratch.take(input.x.rows, in_.n_out());
    in_.run(run, input, all);
    run.device.activation(spec_.activation, all.columns(0, 3 * n));
    device::LinearAttentionRows rows;
    rows.q = all.columns(0, n);
    rows.k = all.columns(n, n);
    rows.v = all.columns(2 * n, n);
    rows.fixed_log_decay = decays_.get();
    run.device.linear_attention(attention_, {run.kv, kv_layer, 0}, rows, mixed);
    norm_.run(run, mixed, mixed);
    run.device.apply_gate(all.columns(3 * n, n), mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  static std::vector<LinearPart> in_parts(const LightningAttentionSpec& spec) {
    const std::int64_t n = spec.n_heads;
    const std::int64_t d = spec.head_dim;
    return {{role::kLightningQkv, n * d, false, 0, {n, 3 * d, 0, d}},
            {role::kLightningQkv, n * d, false, 0, {n, 3 * d, d, d}},
            {role::kLightningQkv, n * d, false, 0, {n, 3 * d, 2 * d, d}},
            {role::kLightningGate, n * d}};
  }

  const LightningAttentionSpec spec_;
  device::LinearAttentionSpec attention_{};
  const Linear in_;
  const WeightPtr decays_;
  const Norm norm_;
  const Linear out_;
};

}  // namespace

std::unique_ptr<Mixer> make_lightning_attention(const LightningAttentionSpec& spec,
                                                BlockBuilder& builder, At at) {
  return std::make_unique<LightningAttention>(spec, builder, at);
}

}  // namespace openllm::model

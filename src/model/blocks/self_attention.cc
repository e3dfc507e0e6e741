#include "model/blocks/self_attention.h"

#include <optional>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

class SelfAttention final : public Mixer {
 public:
  SelfAttention(const SelfAttentionSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec), qkv_(builder, qkv_parts(spec, builder, at), builder.dim, at) {
    if (spec.qk_norm) {
      q_norm_.emplace(builder, role::kQNorm, at, spec.head_dim);
      k_norm_.emplace(builder, role::kKNorm, at, spec.head_dim);
    }
    output_ = Linear(builder, {{role::kAttentionOutput, builder.dim, spec.output_bias}},
                     spec.q_width(), at);
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = spec.n_kv_heads;
    attention_.head_dim = spec.head_dim;
    attention_.value_dim = spec.head_dim;
    attention_.scale = spec.scale;
    attention_.window = spec.window;
    attention_.soft_cap = spec.soft_cap;
    if (spec.sees_all) attention_.visibility = device::Visibility::kWhole;
  }

  std::int64_t width() const noexcept override { return spec_.q_width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, qkv_.n_out());
  }
  KvNeed kv_need() const noexcept override {
    return {spec_.window > 0 ? kv::KvKind::kWindow : kv::KvKind::kFull,
            spec_.window,
            spec_.n_kv_heads,
            spec_.head_dim,
            spec_.head_dim,
            spec_.sees_all};
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor qkv = run.scratch.take(input.x.rows, qkv_.n_out());
    qkv_.run(run, input, qkv);
    const std::int64_t n_q = spec_.q_width();
    const std::int64_t n_kv = spec_.kv_width();
    const Tensor q = qkv.columns(0, n_q);
    const Tensor k = qkv.columns(n_q, n_kv);
    if (spec_.qk_norm) {
      q_norm_->run(run, q, q);
      k_norm_->run(run, k, k);
    }
    if (spec_.rope >= 0) {
      // Q and K lie side by side and have heads of one size: one call rotates both.
      run.device.rope(*run.ropes[static_cast<std::size_t>(spec_.rope)], spec_.head_dim,
                      qkv.columns(0, n_q + n_kv));
    }
    run.device.write_kv(run.kv, kv_layer, k, qkv.columns(n_q + n_kv, n_kv));
    device::AttentionSpec attention = attention_;
    if (spec_.position_bias >= 0) {
      attention.bias = run.position_biases[static_cast<std::size_t>(spec_.position_bias)].get();
    }
    run.device.attention(attention, run.kv, kv_layer, q, mixed);
  }

  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  static std::vector<LinearPart> qkv_parts(const SelfAttentionSpec& spec, BlockBuilder& builder,
                                           At at) {
    const TensorIndex& index = builder.loader.index();
    const std::int64_t n_q = spec.q_width();
    const std::int64_t n_kv = spec.kv_width();
    if (index.has(role::kQkv, at) || !index.knows(role::kQ)) {
      return {{role::kQkv, n_q + 2 * n_kv, spec.bias}};
    }
    return {{role::kQ, n_q, spec.bias, spec.head_dim},
            {role::kK, n_kv, spec.bias, spec.head_dim},
            {role::kV, n_kv, spec.bias}};
  }

  const SelfAttentionSpec spec_;
  device::AttentionSpec attention_{};
  Linear qkv_;
  std::optional<Norm> q_norm_{};
  std::optional<Norm> k_norm_{};
  Linear output_{};
};

}  // namespace

std::unique_ptr<Mixer> make_self_attention(const SelfAttentionSpec& spec, BlockBuilder& builder,
                                           At at) {
  return std::make_unique<SelfAttention>(spec, builder, at);
}

}  // namespace openllm::model

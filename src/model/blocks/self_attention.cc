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
    load_norm(q_norm_, role::kQNorm, spec.q_width(), builder, at);
    if (spec.keys_of_layer < 0) load_norm(k_norm_, role::kKNorm, spec.kv_width(), builder, at);
    if (spec.value_norm && spec.keys_of_layer < 0) {
      value_norm_.emplace(builder, role::kV, at, spec.head_dim,
                          NormSpec{{device::NormKind::kRms, builder.norm.eps}, false, false});
    }
    output_ = Linear(builder, {{role::kAttentionOutput, builder.dim, spec.output_bias}},
                     spec.mixed_width(), at);
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = spec.n_kv_heads;
    attention_.head_dim = spec.head_dim;
    attention_.value_dim = spec.value_size();
    attention_.scale = spec.scale;
    attention_.window = spec.window;
    attention_.chunk = spec.chunk;
    attention_.soft_cap = spec.soft_cap;
    if (spec.sinks) sinks_ = builder.loader.values(role::kSinks, at, spec.n_heads);
    attention_.sinks = sinks_.get();
    if (spec.inner_norm) {
      inner_norm_.emplace(builder, role::kAttentionInnerNorm, at, spec.mixed_width());
    }
    if (spec.sees_all) attention_.visibility = device::Visibility::kWhole;
  }

  std::int64_t width() const noexcept override { return spec_.mixed_width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, columns());
  }
  KvNeed kv_need() const noexcept override {
    // No key of a chunk is further away than a window of its size.
    const int window = spec_.window > 0 ? spec_.window : spec_.chunk;
    return {window > 0 ? kv::KvKind::kWindow : kv::KvKind::kFull,
            window,
            spec_.n_kv_heads,
            spec_.head_dim,
            spec_.value_size(),
            spec_.sees_all,
            spec_.keys_of_layer};
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const std::int64_t n_q = spec_.q_width();
    const std::int64_t n_kv = spec_.keys_of_layer < 0 ? spec_.kv_width() : 0;
    const Tensor qkv = run.scratch.take(input.x.rows, columns());
    qkv_.run(run, input, qkv.columns(0, qkv_.n_out()));
    const Tensor q = qkv.columns(0, n_q);
    const Tensor k = qkv.columns(n_q, n_kv);
    const std::int64_t n_v = spec_.keys_of_layer < 0 ? spec_.value_width() : 0;
    const Tensor v = qkv.columns(n_q + n_kv, n_v);
    const std::int64_t n_qkv = n_q + n_kv + n_v;
    if (spec_.value_scale != 1.0F) run.device.scale(spec_.value_scale, v);
    if (spec_.value_is_key) run.device.copy(k, v);
    if (value_norm_) value_norm_->run(run, v, v);
    const bool clips = spec_.clip_qkv > 0.0F;
    const Tensor clipped = qkv.columns(0, n_qkv);
    if (clips && !spec_.clip_after_norm) run.device.clamp(spec_.clip_qkv, clipped);
    if (!spec_.qk_norm_after_rope) normalise(run, q, k);
    if (clips && spec_.clip_after_norm) run.device.clamp(spec_.clip_qkv, clipped);
    if (spec_.rope >= 0) {
      // Q and K lie side by side and have heads of one size: one call rotates both.
      run.device.rope(*run.ropes[static_cast<std::size_t>(spec_.rope)], spec_.head_dim,
                      qkv.columns(0, n_q + n_kv));
    }
    if (spec_.qk_norm_after_rope) normalise(run, q, k);
    if (spec_.query_scale) run.device.scale_by_position(*spec_.query_scale, q);
    if (n_kv > 0) run.device.write_kv(run.kv, kv_layer, k, v);
    device::AttentionSpec attention = attention_;
    if (spec_.position_bias >= 0) {
      attention.bias = run.position_biases[static_cast<std::size_t>(spec_.position_bias)].get();
    }
    run.device.attention(attention, run.kv, kv_layer, q, mixed);
    if (spec_.output_gate) apply_gate(run, qkv.columns(n_qkv, spec_.gate_width()), mixed);
    if (inner_norm_) inner_norm_->run(run, mixed, mixed);
  }

  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  void apply_gate(Run& run, Tensor gate, Tensor mixed) const {
    if (spec_.gate_is_softplus) run.device.softplus(gate);
    const std::int64_t n_gates = spec_.gate_of_heads ? spec_.n_heads : 1;
    const std::int64_t n = gate.cols / n_gates;
    const std::int64_t width = mixed.cols / n_gates;
    for (std::int64_t i = 0; i < n_gates; ++i) {
      const Tensor part = mixed.columns(i * width, width);
      if (spec_.gate_is_softplus) {
        run.device.multiply(gate.columns(i * n, n), part);
      } else {
        run.device.apply_gate(gate.columns(i * n, n), part);
      }
    }
  }
  /// Of Q, K, V and the gate.
  std::int64_t columns() const noexcept {
    return qkv_.n_out() + (spec_.value_is_key ? spec_.kv_width() : 0);
  }
  void load_norm(std::optional<Norm>& norm, Role role, std::int64_t width, BlockBuilder& builder,
                 At at) const {
    if (spec_.qk_norm == QkNorm::kNone) return;
    NormSpec spec = spec_.qk_norm_spec.value_or(builder.norm);
    if (spec_.qk_norm == QkNorm::kEachHead) spec.group = spec_.head_dim;
    norm.emplace(builder, role, at, spec_.qk_norm == QkNorm::kHead ? spec_.head_dim : width, spec);
  }
  void normalise(Run& run, Tensor q, Tensor k) const {
    if (!q_norm_) return;
    q_norm_->run(run, q, q);
    if (k_norm_) k_norm_->run(run, k, k);
  }

  /// The rows of Q, K and V out of a tensor that has them group by group.
  static std::vector<LinearPart> grouped_parts(const SelfAttentionSpec& spec) {
    const std::int64_t n = spec.fused.n_groups;
    const std::int64_t q = spec.q_width() / n;
    const std::int64_t kv = spec.kv_width() / n;
    const std::int64_t all = q + 2 * kv;
    const std::int64_t k_begin = spec.fused.value_before_key ? q + kv : q;
    const std::int64_t v_begin = spec.fused.value_before_key ? q : q + kv;
    return {{role::kQkv, n * q, spec.bias, spec.head_dim, {n, all, 0, q}},
            {role::kQkv, n * kv, spec.bias, spec.head_dim, {n, all, k_begin, kv}},
            {role::kQkv, n * kv, spec.bias, 0, {n, all, v_begin, kv}}};
  }
  static std::vector<LinearPart> qkv_parts(const SelfAttentionSpec& spec, BlockBuilder& builder,
                                           At at) {
    const TensorIndex& index = builder.loader.index();
    const std::int64_t n_q = spec.q_width();
    const std::int64_t n_kv = spec.kv_width();
    std::vector<LinearPart> parts;
    if (spec.keys_of_layer >= 0) return {{role::kQ, n_q, spec.bias, spec.head_dim}};
    if (spec.value_is_key) {
      return {{role::kQ, n_q, spec.bias, spec.head_dim},
              {role::kK, n_kv, spec.bias, spec.head_dim}};
    }
    if (index.has(role::kQkv, at) || !index.knows(role::kQ)) {
      if (spec.fused.n_groups > 0 && !spec.fused.undone) return grouped_parts(spec);
      LinearPart fused{role::kQkv, n_q + n_kv + spec.value_width(), spec.bias};
      fused.n_k = n_kv;
      fused.n_v = spec.value_width();
      fused.n_groups = spec.fused.n_groups;
      parts = {fused};
    } else if (index.has(role::kKv, at)) {
      const std::int64_t n = spec.head_dim;
      parts = {{role::kQ, n_q, spec.bias, spec.head_dim},
               {role::kKv, n_kv, spec.bias, spec.head_dim, {spec.n_kv_heads, 2 * n, 0, n}},
               {role::kKv, n_kv, spec.bias, 0, {spec.n_kv_heads, 2 * n, n, n}}};
    } else {
      parts = {{role::kQ, n_q, spec.bias, spec.head_dim},
               {role::kK, n_kv, spec.bias, spec.head_dim},
               {role::kV, spec.value_width(), spec.bias}};
    }
    if (spec.gate_beside_queries) {
      const std::int64_t n = spec.n_heads;
      const std::int64_t head = spec.head_dim;
      parts[0].rows = {n, 2 * head, 0, head};
      parts.push_back({role::kQ, n_q, spec.bias, 0, {n, 2 * head, head, head}});
    } else if (spec.output_gate) {
      parts.push_back({role::kAttentionGate, spec.gate_width()});
    }
    return parts;
  }

  const SelfAttentionSpec spec_;
  device::AttentionSpec attention_{};
  Linear qkv_;
  std::optional<Norm> q_norm_{};
  std::optional<Norm> k_norm_{};
  std::optional<Norm> value_norm_{};
  WeightPtr sinks_{};
  std::optional<Norm> inner_norm_{};
  Linear output_{};
};

}  // namespace

std::unique_ptr<Mixer> make_self_attention(const SelfAttentionSpec& spec, BlockBuilder& builder,
                                           At at) {
  return std::make_unique<SelfAttention>(spec, builder, at);
}

}  // namespace openllm::model

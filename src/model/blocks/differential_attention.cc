#include "model/blocks/differential_attention.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

/// e^(q . k), the product in f32.
float load_lambda(BlockBuilder& builder, Role q_role, Role k_role, int head_dim, At at) {
  const std::vector<float> q = builder.loader.host_values(q_role, at, head_dim);
  const std::vector<float> k = builder.loader.host_values(k_role, at, head_dim);
  float sum = 0.0F;
  for (std::size_t i = 0; i < q.size(); ++i) sum += q[i] * k[i];
  return std::exp(sum);
}

class DifferentialAttention final : public Mixer {
 public:
  DifferentialAttention(const DifferentialAttentionSpec& spec, BlockBuilder& builder, At at)
      : spec_(spec),
        qkv_(builder,
             {{role::kQ, spec.q_width(), spec.bias, spec.head_dim},
              {role::kK, spec.kv_width(), spec.bias, spec.head_dim},
              {role::kV, spec.kv_width(), spec.bias}},
             builder.dim, at),
        output_(builder, {{role::kAttentionOutput, builder.dim, spec.bias}}, spec.q_width(), at),
        factors_(builder.loader.constant(value_dim(), 1.0F - spec.lambda_base)) {
    lambda_ = load_lambda(builder, role::kLambdaQ1, role::kLambdaK1, spec.head_dim, at) -
              load_lambda(builder, role::kLambdaQ2, role::kLambdaK2, spec.head_dim, at) +
              spec.lambda_base;
    norm_ = {device::NormKind::kRms, builder.norm.eps};
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = spec.n_kv_heads;
    attention_.head_dim = spec.head_dim;
    attention_.value_dim = static_cast<int>(value_dim());
    attention_.scale = spec.scale;
  }

  std::int64_t width() const noexcept override { return spec_.q_width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, qkv_.n_out()) + Scratch::size_of(n_rows, values_width()) +
           Scratch::size_of(n_rows, 2 * width());
  }
  KvNeed kv_need() const noexcept override {
    return {kv::KvKind::kFull, 0, spec_.n_kv_heads, spec_.head_dim, static_cast<int>(value_dim())};
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const std::int64_t n_q = spec_.q_width();
    const std::int64_t n_kv = spec_.kv_width();
    const Tensor qkv = run.scratch.take(input.x.rows, qkv_.n_out());
    qkv_.run(run, input, qkv);
    if (spec_.rope >= 0) {
      run.device.rope(*run.ropes[static_cast<std::size_t>(spec_.rope)], spec_.head_dim,
                      qkv.columns(0, n_q + n_kv));
    }
    const Tensor values = run.scratch.take(input.x.rows, values_width());
    pair_values(run, qkv.columns(n_q + n_kv, n_kv), values);
    run.device.write_kv(run.kv, kv_layer, qkv.columns(n_q, n_kv), values);
    const Tensor heads = run.scratch.take(input.x.rows, 2 * width());
    run.device.attention(attention_, run.kv, kv_layer, qkv.columns(0, n_q), heads);
    const Tensor first = heads.columns(0, width());
    run.device.add(first, heads.columns(width(), width()), -lambda_, first);
    run.device.norm(norm_, *factors_, nullptr, first, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  std::int64_t value_dim() const noexcept { return std::int64_t{2} * spec_.head_dim; }
  std::int64_t values_width() const noexcept { return spec_.n_kv_heads * value_dim(); }

  /// Each head's values, of both halves side by side.
  void pair_values(Run& run, Tensor v, Tensor values) const {
    const std::int64_t n = spec_.head_dim;
    const int half = spec_.n_kv_heads / 2;
    for (int g = 0; g < spec_.n_kv_heads; ++g) {
      const int from = g % half;
      run.device.copy(v.columns(from * n, n), values.columns(g * value_dim(), n));
      run.device.copy(v.columns((half + from) * n, n), values.columns(g * value_dim() + n, n));
    }
  }

  const DifferentialAttentionSpec spec_;
  const Linear qkv_;
  const Linear output_;
  const WeightPtr factors_;
  float lambda_ = 0.0F;
  device::NormSpec norm_{};
  device::AttentionSpec attention_{};
};

}  // namespace

std::unique_ptr<Mixer> make_differential_attention(const DifferentialAttentionSpec& spec,
                                                   BlockBuilder& builder, At at) {
  return std::make_unique<DifferentialAttention>(spec, builder, at);
}

}  // namespace openllm::model

#include "model/blocks/cross_attention.h"

#include <algorithm>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

class CrossAttentionBlock final : public CrossAttention {
 public:
  CrossAttentionBlock(const CrossAttentionSpec& spec, BlockBuilder& builder, At at)
      : width_(std::int64_t{spec.n_heads} * spec.head_dim),
        kv_width_(std::int64_t{spec.n_kv_heads > 0 ? spec.n_kv_heads : spec.n_heads} *
                  spec.head_dim),
        q_(builder, {{role::kCrossQ, width_, spec.bias}}, builder.dim, at),
        kv_(builder, {{role::kCrossK, kv_width_, spec.bias}, {role::kCrossV, kv_width_, spec.bias}},
            builder.dim, at),
        output_(builder, {{role::kCrossOutput, builder.dim, spec.bias}}, width_, at) {
    attention_.n_heads = spec.n_heads;
    attention_.n_kv_heads = static_cast<int>(kv_width_ / spec.head_dim);
    attention_.head_dim = spec.head_dim;
    attention_.value_dim = spec.head_dim;
    attention_.scale = spec.scale;
    attention_.soft_cap = spec.soft_cap;
    attention_.visibility = device::Visibility::kSource;
  }

  std::int64_t width() const noexcept override { return width_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, kv_.n_out());
  }
  KvNeed kv_need() const noexcept override {
    return {kv::KvKind::kCross, 0, attention_.n_kv_heads, attention_.head_dim, attention_.head_dim};
  }

  void remember(Run& run, Tensor source, int kv_layer) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor kv = run.scratch.take(source.rows, kv_.n_out());
    kv_.run(run, source, kv);
    run.device.write_kv(run.kv, kv_layer, kv.columns(0, kv_width_),
                        kv.columns(kv_width_, kv_width_));
  }
  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor q = run.scratch.take(input.x.rows, width_);
    q_.run(run, input, q);
    run.device.attention(attention_, run.kv, kv_layer, q, mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { output_.run(run, mixed, out); }

 private:
  const std::int64_t width_;
  const std::int64_t kv_width_;
  device::AttentionSpec attention_{};
  const Linear q_;
  const Linear kv_;
  const Linear output_;
};

}  // namespace

std::unique_ptr<CrossAttention> make_cross_attention(const CrossAttentionSpec& spec,
                                                     BlockBuilder& builder, At at) {
  return std::make_unique<CrossAttentionBlock>(spec, builder, at);
}

}  // namespace openllm::model

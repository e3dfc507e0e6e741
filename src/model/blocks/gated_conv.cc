#include "model/blocks/gated_conv.h"

#include "model/blocks/linear.h"
#include "model/blocks/state_weights.h"

namespace openllm::model {
namespace {

using device::Tensor;

class GatedConv final : public Mixer {
 public:
  GatedConv(const GatedConvSpec& spec, BlockBuilder& builder, At at)
      : dim_(builder.dim),
        n_taps_(spec.n_taps),
        in_(builder, {{role::kConvInput, 3 * builder.dim, spec.bias}}, builder.dim, at),
        taps_(load_conv_taps(builder, role::kConvTaps, at, spec.n_taps, builder.dim)),
        out_(builder, {{role::kConvOutput, builder.dim, spec.bias}}, builder.dim, at) {
    if (spec.bias) bias_ = builder.loader.bias(role::kConvTaps, at, dim_);
  }

  std::int64_t width() const noexcept override { return dim_; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, 3 * dim_);
  }
  KvNeed kv_need() const noexcept override { return state_need((n_taps_ - 1) * dim_); }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor all = run.scratch.take(input.x.rows, 3 * dim_);
    in_.run(run, input, all);
    const Tensor b = all.columns(0, dim_);
    run.device.multiply(all.columns(2 * dim_, dim_), b);
    run.device.short_conv({run.kv, kv_layer, 0}, *taps_, bias_.get(), nullptr, b, mixed);
    run.device.multiply(all.columns(dim_, dim_), mixed);
  }
  void project(Run& run, Tensor mixed, Tensor out) override { out_.run(run, mixed, out); }

 private:
  const std::int64_t dim_;
  const std::int64_t n_taps_;
  const Linear in_;
  const WeightPtr taps_;
  WeightPtr bias_{};
  const Linear out_;
};

}  // namespace

std::unique_ptr<Mixer> make_gated_conv(const GatedConvSpec& spec, BlockBuilder& builder, At at) {
  return std::make_unique<GatedConv>(spec, builder, at);
}

}  // namespace openllm::model

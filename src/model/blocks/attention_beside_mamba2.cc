#include "model/blocks/attention_beside_mamba2.h"

#include <algorithm>

namespace openllm::model {
namespace {

using device::Tensor;

class AttentionBesideMamba2 final : public Mixer {
 public:
  AttentionBesideMamba2(const AttentionBesideMamba2Spec& spec, BlockBuilder& builder, At at)
      : dim_(builder.dim),
        attention_scale_(spec.attention_scale),
        attention_(make_self_attention(spec.attention, builder, at)),
        mamba_(make_mamba2(spec.mamba, builder, at)) {}

  std::int64_t width() const noexcept override { return attention_->width() + mamba_->width(); }
  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    return Scratch::size_of(n_rows, dim_) +
           std::max(attention_->scratch(n_rows), mamba_->scratch(n_rows));
  }
  KvNeed kv_need() const noexcept override { return attention_->kv_need(); }
  std::vector<KvNeed> kv_needs() const override {
    return {attention_->kv_need(), mamba_->kv_need()};
  }

  void mix(Run& run, const Input& input, int kv_layer, Tensor mixed) override {
    attention_->mix(run, input, kv_layer, of_attention(mixed));
    mamba_->mix(run, input, kv_layer + 1, of_mamba(mixed));
  }
  void project(Run& run, Tensor mixed, Tensor out) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor from_attention = run.scratch.take(mixed.rows, dim_);
    attention_->project(run, of_attention(mixed), from_attention);
    mamba_->project(run, of_mamba(mixed), out);
    run.device.add(out, from_attention, attention_scale_, out);
  }

 private:
  Tensor of_attention(Tensor mixed) const { return mixed.columns(0, attention_->width()); }
  Tensor of_mamba(Tensor mixed) const {
    return mixed.columns(attention_->width(), mamba_->width());
  }

  const std::int64_t dim_;
  const float attention_scale_;
  const std::unique_ptr<Mixer> attention_;
  const std::unique_ptr<Mixer> mamba_;
};

}  // namespace

std::unique_ptr<Mixer> make_attention_beside_mamba2(const AttentionBesideMamba2Spec& spec,
                                                    BlockBuilder& builder, At at) {
  return std::make_unique<AttentionBesideMamba2>(spec, builder, at);
}

}  // namespace openllm::model

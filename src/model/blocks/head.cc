#include "model/blocks/head.h"

#include <cstring>

namespace openllm::model {
namespace {

bool same_content(const tensor::TensorView& a, const tensor::TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes.size() == b.bytes.size() &&
         std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

}  // namespace

HeadSource find_head(const HeadSpec& spec, Role embedding, TensorIndex& index) {
  if (!spec.tied) return {embedding, true};
  const tensor::TensorView* table = index.find_weight(embedding);
  const tensor::TensorView* output = index.find_weight(role::kHead);
  if (output == nullptr) return {embedding, false};
  if (table == nullptr) return {role::kHead, false};
  if (!same_content(*table, *output)) return {embedding, true};
  index.take(index.module(role::kHead) + ".weight", output->shape);
  return {embedding, false};
}

Head::Head(const HeadSpec& spec, BlockBuilder& builder, const HeadSource& source,
           const device::Weight& table, int vocab_size)
    : spec_(spec),
      own_(source.has_own ? builder.loader.head(role::kHead, vocab_size, builder.dim) : nullptr),
      matrix_(own_ != nullptr ? *own_ : table) {}

void Head::run(Run& run, device::Tensor x, float* host_out) const {
  run.device.logits(matrix_, spec_.scale, spec_.soft_cap, x, host_out);
}

}  // namespace openllm::model

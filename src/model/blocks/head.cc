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
      width_(spec.width > 0 ? std::int64_t{spec.width} : builder.dim),
      own_(source.has_own ? builder.loader.head(role::kHead, vocab_size, width_, spec.norm)
                          : nullptr),
      matrix_(own_ != nullptr ? *own_ : table) {
  TensorIndex& index = builder.loader.index();
  if (spec.bias && !index.knows(role::kHeadBias)) {
    bias_ = builder.loader.bias(role::kHead, {}, vocab_size);
  } else if (spec.bias && index.has(role::kHeadBias)) {
    bias_ = builder.loader.values(role::kHeadBias, {}, vocab_size);
  }
  if (spec.norm == MatrixNorm::kNone) {
    piece_ = builder.loader.list_module({.ref = {role::kHead},
                                         .n_out = vocab_size,
                                         .n_in = matrix_.in_features(),
                                         .weight = &matrix_,
                                         .bias = bias_.get(),
                                         .is_head = true});
  }
  if (spec.width > 0 || spec.transform) {
    const LinearPart part{role::kHeadInput, width_, spec.transform && spec.transform->bias};
    input_.emplace(builder, std::vector<LinearPart>{part}, builder.dim, At{});
  }
  if (spec.transform) norm_.emplace(builder, role::kHeadNorm, At{}, width_);
}

std::int64_t Head::scratch(std::int64_t n_rows) const noexcept {
  return input_ ? Scratch::size_of(n_rows, width_) : 0;
}

void Head::run(Run& run, device::Tensor x, float* host_out) const {
  const Scratch::Frame frame(run.scratch);
  device::Tensor narrow = x;
  if (input_) {
    narrow = run.scratch.take(x.rows, width_);
    input_->run(run, x, narrow);
  }
  if (spec_.transform) {
    run.device.activation(spec_.transform->activation, narrow);
    norm_->run(run, narrow, narrow);
  }
  run.device.logits(matrix_, bias_.get(), run.deltas_of_first(piece_, x.rows), spec_.scale,
                    spec_.soft_cap, narrow, host_out);
}

}  // namespace openllm::model

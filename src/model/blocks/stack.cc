#include "model/blocks/stack.h"

#include <algorithm>
#include <utility>

namespace openllm::model {

using device::Tensor;

Stack::Stack(const StackSpec& spec, BlockBuilder& builder, std::unique_ptr<Embedding> embedding)
    : embedding_(std::move(embedding)) {
  for (const device::PositionBiasSpec& bias : spec.position_biases) {
    WeightPtr table;
    if (bias.kind == device::PositionBiasSpec::Kind::kBuckets) {
      const At at{.layer = static_cast<int>(bias_tables_.size())};
      table = builder.loader.table(role::kPositionBias, bias.n_buckets, bias.n_heads, false, at);
    }
    position_biases_.push_back(builder.loader.device().make_position_bias(bias, table.get()));
    bias_tables_.push_back(std::move(table));
  }
  layers_.reserve(spec.layers.size());
  for (const LayerSpec& layer : spec.layers) {
    layers_.emplace_back(layer, builder, At{.layer = static_cast<int>(layers_.size())});
  }
  if (spec.has_final_norm) {
    final_norm_ = std::make_unique<Norm>(builder, role::kFinalNorm, At{}, builder.dim);
  }
}

std::int64_t Stack::scratch(std::int64_t n_rows) const noexcept {
  std::int64_t most = embedding_->scratch(n_rows);
  for (const Layer& layer : layers_) most = std::max(most, layer.scratch(n_rows));
  return most;
}

void Stack::run(Run& run, Tensor x) {
  run.position_biases = position_biases_;
  embedding_->run(run, x);
  for (Layer& layer : layers_) layer.run(run, x);
  if (final_norm_) final_norm_->run(run, x, x);
}

void Stack::run_outputs(Run& run, Tensor x, Tensor outputs) {
  run.position_biases = position_biases_;
  embedding_->run(run, x);
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) layers_[i].run(run, x);
  layers_.back().run_last(run, x, outputs);
  if (final_norm_ && outputs.rows > 0) final_norm_->run(run, outputs, outputs);
}

}  // namespace openllm::model

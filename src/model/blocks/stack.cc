#include "model/blocks/stack.h"

#include <algorithm>
#include <utility>

namespace openllm::model {

using device::Tensor;

Stack::Stack(const StackSpec& spec, BlockBuilder& builder, std::unique_ptr<Embedding> embedding)
    : embedding_(std::move(embedding)), keeps_embedding_(spec.keeps_embedding), dim_(builder.dim) {
  for (const device::PositionBiasSpec& bias : spec.position_biases) {
    WeightPtr table;
    if (bias.kind == device::PositionBiasSpec::Kind::kBuckets) {
      const At at{.layer = static_cast<int>(bias_tables_.size())};
      table = builder.loader.table(role::kPositionBias, bias.n_buckets, bias.n_heads, false, at);
    }
    position_biases_.push_back(builder.loader.device().make_position_bias(bias, table.get()));
    bias_tables_.push_back(std::move(table));
  }
  if (spec.layer_inputs) {
    layer_inputs_ = std::make_unique<LayerInputs>(*spec.layer_inputs, builder,
                                                  static_cast<int>(spec.layers.size()));
  }
  if (spec.streams) streams_ = std::make_unique<Streams>(*spec.streams, builder);
  layers_.reserve(spec.layers.size());
  for (const LayerSpec& layer : spec.layers) {
    layers_.emplace_back(layer, builder, At{.layer = static_cast<int>(layers_.size())});
  }
  if (spec.has_final_norm) {
    final_norm_ = std::make_unique<Norm>(builder, role::kFinalNorm, At{}, builder.dim,
                                         spec.final_norm.value_or(builder.norm));
  }
}

std::int64_t Stack::scratch(std::int64_t n_rows) const noexcept {
  std::int64_t most = embedding_->scratch(n_rows);
  for (const Layer& layer : layers_) most = std::max(most, layer.scratch(n_rows));
  if (layer_inputs_) most += Scratch::size_of(n_rows, layer_inputs_->width());
  if (streams_) most += streams_->scratch(n_rows);
  return most + (keeps_embedding_ ? Scratch::size_of(n_rows, dim_) : 0);
}

/// Also what tokens bring for each layer, whose memory is the caller's.
void Stack::embed(Run& run, Tensor x) const {
  run.position_biases = position_biases_;
  embedding_->run(run, x);
  if (streams_) streams_->begin(run, x);
  if (keeps_embedding_) {
    run.embedded = run.scratch.take(x.rows, dim_);
    run.device.copy(x, run.embedded);
  }
  if (!layer_inputs_) return;
  run.layer_inputs = run.scratch.take(x.rows, layer_inputs_->width());
  layer_inputs_->run(run, x, run.layer_inputs);
}

void Stack::run(Run& run, Tensor x) {
  const Scratch::Frame frame(run.scratch);
  embed(run, x);
  for (Layer& layer : layers_) {
    for (int i = 0; i < layer.n_times(); ++i) layer.run(run, x);
  }
  if (streams_) streams_->end(run, x);
  if (final_norm_) final_norm_->run(run, x, x);
}

void Stack::run_outputs(Run& run, Tensor x, Tensor outputs) {
  const Scratch::Frame frame(run.scratch);
  embed(run, x);
  if (streams_) {
    // Rows without results too: streams are not gathered.
    for (Layer& layer : layers_) layer.run(run, x);
    streams_->end(run, x);
    run.device.gather_outputs(x, outputs);
    run.adapters = run.output_adapters;
    if (final_norm_ && outputs.rows > 0) final_norm_->run(run, outputs, outputs);
    return;
  }
  for (Layer& layer : layers_) {
    const int last = &layer == &layers_.back() ? 1 : 0;
    for (int i = 0; i < layer.n_times() - last; ++i) layer.run(run, x);
  }
  layers_.back().run_last(run, x, outputs);
  run.adapters = run.output_adapters;
  if (final_norm_ && outputs.rows > 0) final_norm_->run(run, outputs, outputs);
}

}  // namespace openllm::model

#include "model/blocks/layer_input.h"

namespace openllm::model {

using device::Tensor;

LayerInputs::LayerInputs(const LayerInputsSpec& spec, BlockBuilder& builder, int n_layers)
    : spec_(spec),
      n_columns_(std::int64_t{n_layers} * spec.width),
      table_(builder.loader.table(role::kLayerInputTable, spec.n_rows, n_columns_, false)),
      model_(builder, {{role::kLayerInputModel, n_columns_}}, builder.dim, At{}),
      norm_(builder, role::kLayerInputNorm, At{}, spec.width) {}

void LayerInputs::run(Run& run, Tensor x, Tensor out) const {
  model_.run(run, x, out);
  run.device.scale(spec_.model_scale, out);
  norm_.run(run, out, out);
  run.device.scale(spec_.scale, out);
  device::Lookup lookup{.scale = spec_.table_scale * spec_.scale, .add = true};
  lookup.n_ids = spec_.n_rows;
  run.device.embed(*table_, lookup, out);
}

LayerInput::LayerInput(const LayerInputSpec& spec, BlockBuilder& builder, At at)
    : spec_(spec),
      dim_(builder.dim),
      gate_(builder, {{role::kLayerInputGate, spec.width}}, builder.dim, at),
      up_(builder, {{role::kLayerInputUp, builder.dim}}, spec.width, at),
      post_norm_(builder, role::kLayerInputPostNorm, at, builder.dim) {}

std::int64_t LayerInput::scratch(std::int64_t n_rows) const noexcept {
  return Scratch::size_of(n_rows, std::int64_t{2} * spec_.width) +
         Scratch::size_of(n_rows, spec_.width) + Scratch::size_of(n_rows, dim_);
}

void LayerInput::run(Run& run, Tensor own, Tensor x, Tensor out) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor pair = run.scratch.take(x.rows, std::int64_t{2} * spec_.width);
  const Tensor product = run.scratch.take(x.rows, spec_.width);
  gate_.run(run, x, pair.columns(0, spec_.width));
  run.device.copy(own, pair.columns(spec_.width, spec_.width));
  run.device.gated_activation(spec_.activation, pair, product);
  up_.run(run, product, out);
  post_norm_.run(run, out, out);
}

void LayerInput::add(Run& run, Tensor own, Tensor x) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor h = run.scratch.take(x.rows, dim_);
  this->run(run, own, x, h);
  run.device.add(x, h, 1.0F, x);
}

}  // namespace openllm::model

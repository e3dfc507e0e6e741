#include "model/pooled_head.h"

#include <algorithm>
#include <utility>

#include "model/weights/tensor_index.h"

namespace openllm::model {

using device::Tensor;
using tensor::Shape;

struct PooledHead::Layer {
  std::unique_ptr<device::Weight> weight{};
  std::unique_ptr<device::Weight> bias{};
  std::optional<device::NormSpec> norm{};
  std::optional<device::Activation> activation{};
};

namespace {

Tensor row_of(std::vector<float>& x) {
  const auto n = static_cast<std::int64_t>(x.size());
  return {x.data(), 1, n, n};
}

}  // namespace

PooledHead::PooledHead() : device_(device::make_device("reference")) {}
PooledHead::~PooledHead() = default;
PooledHead::PooledHead(PooledHead&&) noexcept = default;
PooledHead& PooledHead::operator=(PooledHead&&) noexcept = default;

PooledHead PooledHead::load(const PooledHeadSpec& spec, TensorIndex& index, std::int64_t n_in) {
  PooledHead head;
  for (const PooledLayerSpec& layer : spec.layers) {
    const std::string module = index.module(layer.role);
    const std::int64_t n_out = layer.n_out > 0 ? layer.n_out : n_in;
    const std::string name = module + ".weight";
    const tensor::TensorView* bias =
        layer.has_bias ? &index.take(module + ".bias", Shape{n_out}) : nullptr;
    if (layer.norm) {
      Layer norm;
      norm.norm = *layer.norm;
      norm.activation = layer.activation;
      norm.weight = head.device_->upload({.parts = {{index.take(name, Shape{n_in}), name}}},
                                         device::WeightRole::kVector);
      if (bias != nullptr) {
        norm.bias = head.device_->upload({.parts = {{*bias, name}}}, device::WeightRole::kVector);
      }
      head.add(std::move(norm));
    } else {
      head.add_linear(index.take(name, Shape{n_out, n_in}), bias, layer.activation, name);
    }
    n_in = n_out;
  }
  return head;
}

void PooledHead::add_linear(const tensor::TensorView& weight, const tensor::TensorView* bias,
                            std::optional<device::Activation> activation, const std::string& name) {
  Layer layer;
  layer.activation = activation;
  layer.weight = device_->upload({.parts = {{weight, name}}}, device::WeightRole::kLinear);
  if (bias != nullptr)
    layer.bias = device_->upload({.parts = {{*bias, name}}}, device::WeightRole::kVector);
  if (n_in_ == 0) n_in_ = layer.weight->in_features();
  n_out_ = layer.weight->out_features();
  add(std::move(layer));
}

bool PooledHead::empty() const noexcept { return layers_.empty(); }
void PooledHead::add(Layer layer) { layers_.push_back(std::move(layer)); }

std::vector<float> PooledHead::run(std::vector<float> x) const {
  for (const Layer& layer : layers_) {
    if (layer.norm) {
      device_->norm(*layer.norm, *layer.weight, layer.bias.get(), row_of(x), row_of(x));
    } else {
      std::vector<float> out(static_cast<std::size_t>(layer.weight->out_features()));
      device_->linear(*layer.weight, layer.bias.get(), {}, row_of(x), row_of(out));
      x = std::move(out);
    }
    if (layer.activation) device_->activation(*layer.activation, row_of(x));
  }
  return x;
}

}  // namespace openllm::model

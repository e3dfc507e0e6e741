#pragma once

#include <optional>

#include "model/blocks/linear.h"

namespace openllm::model {

namespace role {
/// Of the stack: a table [rows, L * width], a linear from D to L * width, a norm of each width.
inline constexpr Role kLayerInputTable{"layer_input.table"};
inline constexpr Role kLayerInputModel{"layer_input.model"};
inline constexpr Role kLayerInputNorm{"layer_input.norm"};
/// Of each layer: from D to the width, and back.
inline constexpr Role kLayerInputGate{"layer_input.gate"};
inline constexpr Role kLayerInputUp{"layer_input.up"};
inline constexpr Role kLayerInputPostNorm{"layer_input.post_norm"};
}  // namespace role

/// Rows of their own that a token brings for each layer: from a table, and from its embedding x:
/// (norm(linear(x) * model_scale) + row * table_scale) * scale.
struct LayerInputsSpec {
  int width = 0;
  int n_rows = 0;  ///< Of the table; ids behind it take row 0.
  float table_scale = 1.0F;
  float model_scale = 1.0F;
  float scale = 1.0F;
};

/// What a layer does with its row p behind its FFN: x + norm(up(act(gate(x)) * p)).
struct LayerInputSpec {
  int width = 0;
  device::Activation activation = device::Activation::kGeluTanh;
};

class LayerInputs {
 public:
  LayerInputs(const LayerInputsSpec& spec, BlockBuilder& builder, int n_layers);

  std::int64_t width() const noexcept { return n_columns_; }
  /// out: [T, L * width], of the embedded rows x.
  void run(Run& run, device::Tensor x, device::Tensor out) const;

 private:
  const LayerInputsSpec spec_;
  const std::int64_t n_columns_;
  WeightPtr table_;
  Linear model_;
  Norm norm_;
};

class LayerInput {
 public:
  LayerInput(const LayerInputSpec& spec, BlockBuilder& builder, At at);

  int width() const noexcept { return spec_.width; }
  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// out = norm(up(act(gate(x)) * own)); `own`: [rows, width]
  void run(Run& run, device::Tensor own, device::Tensor x, device::Tensor out) const;
  /// Adds that to x in place.
  void add(Run& run, device::Tensor own, device::Tensor x) const;

 private:
  const LayerInputSpec spec_;
  const std::int64_t dim_;
  Linear gate_;
  Linear up_;
  Norm post_norm_;
};

}  // namespace openllm::model

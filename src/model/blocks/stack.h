#pragma once

#include <memory>
#include <vector>

#include "model/blocks/embedding.h"
#include "model/blocks/layer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kFinalNorm{"final_norm"};
inline constexpr Role kPositionBias{
    "position_bias"};  ///< Table of a bucketed bias, [buckets, heads].
}  // namespace role

/// Layers over an embedding: a decoder, or an encoder.
struct StackSpec {
  EmbeddingSpec embedding{};
  /// Referred to by index. Number i has its table in the file, if any, in layer i.
  std::vector<device::PositionBiasSpec> position_biases{};
  std::optional<LayerInputsSpec> layer_inputs{};
  std::vector<LayerSpec> layers{};
  bool has_final_norm = true;
  std::optional<NormSpec> final_norm{};  ///< Unset: that of the network's norms.
  std::optional<StreamsSpec> streams{};  ///< That of the layers.
  bool keeps_embedding = false;          ///< Mixers read the rows before the first layer.
};

class Stack {
 public:
  /// `embedding`: loaded before.
  Stack(const StackSpec& spec, BlockBuilder& builder, std::unique_ptr<Embedding> embedding);

  std::vector<Layer>& layers() noexcept { return layers_; }
  const Embedding& embedding() const noexcept { return *embedding_; }
  /// Floats of scratch that `run` takes for that many rows.
  std::int64_t scratch(std::int64_t n_rows) const noexcept;

  /// Runs every row of the step through all layers, x: [T, D], and normalises it in place.
  void run(Run& run, device::Tensor x);
  /// The same, but what comes out are the rows whose results the step wants, [outputs, D].
  void run_outputs(Run& run, device::Tensor x, device::Tensor outputs);

 private:
  void embed(Run& run, device::Tensor x) const;

  std::unique_ptr<Embedding> embedding_;
  std::vector<WeightPtr> bias_tables_{};
  std::vector<std::unique_ptr<device::PositionBias>> position_biases_{};
  std::vector<Layer> layers_{};
  std::unique_ptr<LayerInputs> layer_inputs_{};
  std::unique_ptr<Streams> streams_{};
  bool keeps_embedding_ = false;
  std::int64_t dim_ = 0;
  std::unique_ptr<Norm> final_norm_{};
};

}  // namespace openllm::model

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/device.h"
#include "format/checkpoint.h"
#include "model/arch/family.h"
#include "model/decoder_spec.h"

namespace openllm::model {

using WeightPtr = std::unique_ptr<device::Weight>;

/// A norm's gain and, for LayerNorm, its bias. Empty when the spec has no such norm.
struct NormWeights {
  WeightPtr weight{};
  WeightPtr bias{};
};

/// A linear whose outputs may come from several tensors. Tensors of one dtype are one piece; a
/// device need not mix dtypes in a weight.
struct LinearWeights {
  struct Piece {
    WeightPtr weight{};
    WeightPtr bias{};
    std::int64_t begin = 0;  ///< First output column of this piece.
  };
  std::vector<Piece> pieces{};
};

struct LayerWeights {
  NormWeights attention_norm{};
  LinearWeights qkv{};
  WeightPtr q_norm{};
  WeightPtr k_norm{};
  LinearWeights attention_output{};
  NormWeights post_attention_norm{};
  NormWeights ffn_norm{};
  LinearWeights ffn_in{};  ///< Gate and up stacked, or up alone.
  LinearWeights ffn_down{};
  NormWeights post_ffn_norm{};
};

struct DecoderWeights {
  WeightPtr embedding{};
  WeightPtr positions{};
  NormWeights final_norm{};
  WeightPtr output{};  ///< Null: the embedding, transposed in use (tied).
  std::vector<LayerWeights> layers{};
  std::int64_t n_parameters = 0;
  std::size_t bytes = 0;  ///< Read by one decoding step.
};

/// Takes every weight of `spec` from the file to the device. Total: a missing, surplus or wrongly
/// shaped tensor is kCorruptData naming it.
DecoderWeights load_weights(const format::Checkpoint& checkpoint, const TensorLayout& layout,
                            const DecoderSpec& spec, device::Device& device,
                            const std::function<void(double)>& progress);

}  // namespace openllm::model

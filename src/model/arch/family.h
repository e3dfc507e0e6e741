#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "model/config.h"
#include "model/decoder_spec.h"

namespace openllm::model {

/// The tensors a decoder can have. Those of a layer come once per layer.
enum class Slot : std::uint8_t {
  kEmbedding,
  kPositions,  ///< Learned positions.
  kFinalNorm,
  kFinalNormBias,
  kOutput,
  kAttentionNorm,
  kAttentionNormBias,
  kQ,
  kK,
  kV,
  kQkv,  ///< Q, K and V stacked in one tensor.
  kQBias,
  kKBias,
  kVBias,
  kQkvBias,
  kQNorm,
  kKNorm,
  kAttentionOutput,
  kAttentionOutputBias,
  kPostAttentionNorm,
  kFfnNorm,
  kFfnNormBias,
  kGate,
  kUp,
  kDown,
  kGateBias,
  kUpBias,
  kDownBias,
  kPostFfnNorm,
};

/// How a file calls a slot. '#' stands for the layer's number.
struct TensorName {
  Slot slot;
  std::string_view pattern;
};

/// Where a family's tensors are in one file format.
struct TensorLayout {
  std::vector<TensorName> names{};
  /// Put before every name but kOutput's, which is tried with and without. The first one with which
  /// the norm of layer 0 is found is taken.
  std::vector<std::string_view> prefixes{""};
  /// Names that may be in the file and are of no use here. '#' stands for a number, '*' at the end
  /// for anything.
  std::vector<std::string_view> ignored{};
  /// Linear weights are stored [in, out] (GPT-2's Conv1D).
  bool transposed = false;
};

/// One architecture: how its configuration becomes a DecoderSpec and what its tensors are called.
/// No maths.
struct Family {
  std::string_view name;                         ///< For people.
  std::vector<std::string_view> hf_model_types;  ///< config.json's model_type
  std::vector<std::string_view> gguf_names;      ///< GGUF's general.architecture
  DecoderSpec (*hf_spec)(const Config& config);
  DecoderSpec (*gguf_spec)(const Config& config, const format::Checkpoint& checkpoint);
  TensorLayout hf_layout;
  TensorLayout gguf_layout;
};

Family llama_family();
Family mistral_family();
Family qwen2_family();
Family qwen3_family();
Family gemma2_family();
Family gemma3_family();
Family gpt2_family();

/// Every family, in the order of the documentation.
const std::vector<Family>& families();

}  // namespace openllm::model

#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/blocks/head.h"
#include "model/blocks/stack.h"
#include "model/pooled_head.h"

namespace openllm::model {

/// A network as data: everything that is needed to build and run it, no architecture name among it.
/// Letters as in docs/notation.md: D dim, V vocab.
struct ModelSpec : StackSpec {
  std::string architecture{};  ///< For people only.
  int dim = 0;
  int vocab_size = 0;
  /// Longest sequence the model was made for (after linear or dynamic RoPE scaling).
  int max_positions = 0;
  /// Positions are relative: longer sequences work, if somebody wants them.
  bool takes_any_length = false;
  /// Token that answers of an encoder-decoder model begin with; < 0: the configuration has none.
  int decoder_start = -1;
  NormSpec norm{};  ///< Of every norm.
  std::vector<device::RopeSpec> ropes{};
  std::optional<HeadSpec> head{};  ///< Absent: the network gives hidden states (an encoder).
  /// Of classifiers, whose results are hidden states for it; they have no head.
  std::optional<PooledHeadSpec> pooled_head{};
  /// Reads the source of an encoder-decoder model; shares the table of tokens.
  std::optional<StackSpec> encoder{};

  int n_layers() const noexcept { return static_cast<int>(layers.size()); }
  /// Rows see the whole sequence, which must come in one step.
  bool sees_all() const noexcept {
    for (const LayerSpec& layer : layers) {
      const auto* attention = std::get_if<SelfAttentionSpec>(&layer.mixer);
      if (attention != nullptr && attention->sees_all) return true;
      if (std::holds_alternative<DisentangledAttentionSpec>(layer.mixer)) return true;
    }
    return false;
  }
  /// The numbers depend on the length a sequence is admitted with: part of what a shared prefix
  /// must agree in.
  bool rope_depends_on_length() const noexcept {
    for (const device::RopeSpec& rope : ropes) {
      if (rope.growth.kind != device::RopeGrowth::Kind::kNone) return true;
    }
    return false;
  }
};

/// change(SelfAttentionSpec&) for every layer whose mixer is self attention.
template <typename Change>
void each_attention(StackSpec& spec, Change change) {
  for (LayerSpec& layer : spec.layers) {
    if (auto* attention = std::get_if<SelfAttentionSpec>(&layer.mixer)) change(*attention);
  }
}
/// change(DenseFfnSpec&) for every layer whose FFN is dense.
template <typename Change>
void each_ffn(StackSpec& spec, Change change) {
  for (LayerSpec& layer : spec.layers) {
    if (auto* ffn = std::get_if<DenseFfnSpec>(&layer.ffn)) change(*ffn);
  }
}
/// The self attention of layer i, which must be one.
inline SelfAttentionSpec& attention_of(ModelSpec& spec, int i) {
  return std::get<SelfAttentionSpec>(spec.layers[static_cast<std::size_t>(i)].mixer);
}
inline const SelfAttentionSpec& attention_of(const ModelSpec& spec, int i) {
  return std::get<SelfAttentionSpec>(spec.layers[static_cast<std::size_t>(i)].mixer);
}

}  // namespace openllm::model

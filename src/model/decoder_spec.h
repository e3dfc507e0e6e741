#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/device.h"

namespace openllm::model {

enum class Mixer : std::uint8_t { kFullAttention, kWindowAttention };
enum class Ffn : std::uint8_t { kGated, kPlain };
/// Where a block normalises.
enum class NormPlace : std::uint8_t {
  kPre,       ///< x + f(norm(x)): llama, gpt2.
  kSandwich,  ///< x + norm(f(norm(x))): gemma2, gemma3.
};
enum class Position : std::uint8_t { kRope, kLearned };

/// One decoder layer's choices.
struct LayerSpec {
  Mixer mixer = Mixer::kFullAttention;
  int window = 0;                ///< For kWindowAttention.
  int rope = 0;                  ///< Index into DecoderSpec::ropes.
  float attention_scale = 0.0F;  ///< Replaces DecoderSpec::attention_scale if not 0.

  void set_window(int positions) {
    mixer = Mixer::kWindowAttention;
    window = positions;
  }
};

/// RoPE factors that depend on a sequence's length. Chosen once per sequence
/// (device::BatchSequence::rope_len), so that they do not depend on how its rows are cut into
/// steps.
struct RopeGrowth {
  enum class Kind : std::uint8_t {
    kNone,
    kDynamic,  ///< NTK: the base grows with length / original_len.
    kLong,     ///< longrope: other factors above original_len.
  };
  Kind kind = Kind::kNone;
  int original_len = 0;                ///< Up to this length the plain inv_freq holds.
  double base = 0.0;                   ///< kDynamic
  double factor = 1.0;                 ///< kDynamic
  std::vector<float> long_inv_freq{};  ///< kLong
};

/// A decoder as data: everything `Decoder` needs to know, no architecture name among it.
/// Letters as in docs/notation.md: D dim, H heads, Dh head_dim, F ffn_dim, V vocab.
struct DecoderSpec {
  std::string architecture{};  ///< For people only.
  int dim = 0;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int ffn_dim = 0;
  int vocab_size = 0;
  /// Longest sequence the model was made for (after linear or dynamic RoPE scaling).
  int max_positions = 0;

  device::NormSpec norm{};
  NormPlace norm_place = NormPlace::kPre;
  bool qk_norm = false;  ///< RMS norm per head on Q and K before RoPE.
  Position position = Position::kRope;
  std::vector<device::RopeSpec> ropes{};
  std::vector<RopeGrowth> rope_growth{};  ///< One per rope, or empty when none depends on length.
  int position_offset = 0;                ///< Added to positions for learned tables.

  Ffn ffn = Ffn::kGated;
  device::Activation activation = device::Activation::kSilu;
  bool attention_bias = false;  ///< Q, K, V have biases.
  bool attention_output_bias = false;
  bool ffn_bias = false;
  bool tied_embeddings = false;

  float attention_scale = 1.0F;
  float attention_soft_cap = 0.0F;
  float logit_soft_cap = 0.0F;
  float logit_scale = 1.0F;
  float embedding_scale = 1.0F;
  float residual_scale = 1.0F;
  std::vector<LayerSpec> layers{};

  /// The numbers depend on the length a sequence is admitted with: part of what a shared prefix
  /// must agree in.
  bool rope_depends_on_length() const noexcept {
    for (const RopeGrowth& growth : rope_growth) {
      if (growth.kind != RopeGrowth::Kind::kNone) return true;
    }
    return false;
  }
};

}  // namespace openllm::model

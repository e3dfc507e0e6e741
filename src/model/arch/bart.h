#pragma once

#include <optional>
#include <string_view>

#include "model/arch/family.h"

namespace openllm::model {

/// What BART and its relatives differ in, and their configuration classes' defaults.
struct BartKind {
  int vocab_size = 50265;
  int max_positions = 1024;
  int dim = 1024;
  int n_encoder_layers = 12;
  int n_decoder_layers = 12;
  int n_heads = 16;
  int ffn_dim = 4096;
  std::string_view activation = "gelu";
  bool scales_embedding = false;
  int decoder_start = -1;
  bool norms_before = false;     ///< Norms before each part and at the end, instead of behind sums.
  bool norms_embedding = false;  ///< A norm behind the embedding,
  bool norms_decoder_tokens = false;  ///< in the decoder before positions are added.
  bool has_output_bias = true;        ///< final_logits_bias, if the file has it.
  enum class Positions {
    kLearned,
    kWaves,         ///< w_i = 10000^(-2 i / D)
    kFairseqWaves,  ///< w_i = 10000^(-i / (D / 2 - 1)), in f32.
  };
  Positions positions = Positions::kLearned;
  int position_offset = 0;     ///< Row of position 0,
  bool offset_is_pad = false;  ///< which is the one behind pad_token_id's.
};

ModelSpec read_bart(const Config& config, const BartKind& kind);
ModuleLayout bart_layout(const BartKind& kind);

}  // namespace openllm::model

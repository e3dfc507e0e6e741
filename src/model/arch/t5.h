#pragma once

#include <string_view>

#include "model/arch/family.h"
#include "model/arch/gguf.h"

namespace openllm::model {

/// What the relatives of T5 differ in, and their configuration classes' defaults.
struct T5Kind {
  int vocab_size = 32128;
  int d_model = 512;
  int d_ff = 2048;
  int n_layers = 6;
  int n_heads = 8;
  std::string_view feed_forward = "relu";
  int decoder_start = -1;
  bool bias_in_each_layer = false;  ///< Each layer has a table of its own.
  bool may_scale_outputs = true;    ///< Rows are scaled before the head if the file says so.
};

ModelSpec read_t5(const Config& config, const T5Kind& kind);
ModuleLayout t5_layout(const T5Kind& kind);
/// `stack`: "dec", or "enc" of files that have no other.
ModelSpec read_t5_gguf(const Config& config, const format::Checkpoint& checkpoint,
                       std::string_view stack);
ModuleLayout t5_gguf_layout();

}  // namespace openllm::model

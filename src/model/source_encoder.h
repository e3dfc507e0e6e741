#pragma once

#include <vector>

#include "model/blocks/stack.h"

namespace openllm::model {

/// The encoder of an encoder-decoder model: reads the source texts of a step, whole ones only, and
/// leaves their keys and values in the decoder's cross attention.
class SourceEncoder {
 public:
  /// `tokens`: the decoder's embedding, whose table it shares unless it has its own; must outlive
  /// the encoder.
  SourceEncoder(const StackSpec& spec, BlockBuilder& builder, const Embedding& tokens,
                int vocab_size);

  Stack& stack() noexcept { return stack_; }
  /// Encodes the sources that `given.step` brings and gives them to the layers of the decoder. A
  /// step of its own for the device, before the decoder's. A source has the adapter of its
  /// sequence.
  void run(const Run& given, std::int64_t dim, const Adapters& adapters,
           std::vector<Layer>& decoder_layers);

 private:
  void plan(const step::Step& step);

  Stack stack_;
  step::Step own_{};  ///< The source texts as a step.
  StepAdapters step_adapters_{};
};

}  // namespace openllm::model

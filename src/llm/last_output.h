#pragma once

#include <optional>
#include <utility>

#include "base/error.h"
#include "openllm/outputs.h"

namespace openllm::llm {

/// The last output of a stream, for the verbs that wait for the whole answer.
class LastOutput {
 public:
  void add(const GenerationOutput& output) { output_ = output; }
  /// Throws kInternal if the stream ended without an output, or in the middle: an empty answer must
  /// not pass for one of the model.
  GenerationOutput take() {
    if (!output_ || !output_->finished)
      base::fail(ErrorCode::kInternal, "generate: the request ended without its last output");
    return *std::exchange(output_, std::nullopt);
  }

 private:
  std::optional<GenerationOutput> output_;
};

}  // namespace openllm::llm

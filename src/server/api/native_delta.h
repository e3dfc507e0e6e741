#pragma once

#include <optional>
#include <string>
#include <vector>

#include "openllm/outputs.h"

namespace openllm::server {

/// The outputs of one request as the events of a native stream: GenerationOutputs that have only
/// what is new. The prompt is in the first event only, each choice only in events that bring it
/// something, and its end once.
class NativeDeltas {
 public:
  /// JSON of the event; nullopt when the output has no news. Outputs may be of any OutputKind.
  std::optional<std::string> next(const GenerationOutput& output);

 private:
  bool is_first_ = true;
  std::vector<bool> is_over_;  // by choice
};

}  // namespace openllm::server

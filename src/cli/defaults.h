#pragma once

namespace openllm::cli {

/// Length of continued texts in tokens, unless another one is given: most base models never end
/// them.
constexpr int kCompletionTokens = 128;

}  // namespace openllm::cli

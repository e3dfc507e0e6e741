#pragma once

#include <cstdint>
#include <string>

#include "openllm/llm.h"

namespace openllm::cli {

/// Where vLLM listens unless it is told otherwise.
inline constexpr std::uint16_t kUsualPort = 8000;

/// A sentence about a server at `url` that has the model too, where nobody has said what is to run
/// it; else empty. Nothing is sent there but questions.
std::string tell_of_server(const LLM& llm, const std::string& model, const LoadOptions& load,
                           const std::string& url);

}  // namespace openllm::cli

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "openllm/llm.h"

namespace openllm::cli {

/// Where vLLM listens unless it is told otherwise.
inline constexpr std::uint16_t kUsualPort = 8000;

/// Whether a table of the system's TCP sockets (/proc/net/tcp, tcp6) has one that takes connections
/// to 127.0.0.1 at `port`.
bool listens(std::string_view table, std::uint16_t port);

/// A sentence about a server at `port` of this machine that has the model too, where nobody has
/// said what is to run it; else empty. Only a program that listens there is asked, without a key;
/// offline nobody is.
std::string tell_of_server(const LLM& llm, const std::string& model, const LoadOptions& load,
                           std::uint16_t port);

}  // namespace openllm::cli

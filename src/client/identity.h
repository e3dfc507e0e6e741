#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::client {

/// "HTTPClient/C++ 0.1.0".
std::string user_agent(std::string_view client);

/// Fields that tell servers who calls, as OpenLLM's clients have them: X-OpenLLM-Client-*, with
/// version, language, runtime, architecture and operating system.
std::vector<std::string> identity_headers();

}  // namespace openllm::client

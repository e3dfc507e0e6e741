#pragma once

#include <string>
#include <string_view>

namespace openllm::base {

/// `prefix` and 32 random hexadecimal digits (128 bits of the system's random numbers).
std::string random_id(std::string_view prefix);

}  // namespace openllm::base

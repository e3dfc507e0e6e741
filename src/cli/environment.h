#pragma once

#include <string>
#include <vector>

namespace openllm::cli {

/// A sentence for each variable of the environment that begins as ours do and that nothing here
/// reads, with the nearest name of one that is read.
std::vector<std::string> unknown_variables(const char* const* environment);

}  // namespace openllm::cli

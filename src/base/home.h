#pragma once

#include <string>

namespace openllm::base {

/// The folder of what this library keeps on the machine: $OPENLLM_HOME, else
/// $XDG_CACHE_HOME/openllm, else ~/.cache/openllm; empty when none of the variables is set.
std::string home_folder();

}  // namespace openllm::base

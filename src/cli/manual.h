#pragma once

#include <string>
#include <vector>

#include "cli/command_tree.h"

namespace openllm::cli {

/// The page openllm(1), in the language of man pages.
std::string manual_page(const std::vector<TreeCommand>& commands);

}  // namespace openllm::cli

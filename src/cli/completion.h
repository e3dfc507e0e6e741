#pragma once

#include <string>
#include <vector>

#include "cli/command_tree.h"

// Scripts that complete this program's words: commands, options, values, and the names of models,
// which they ask `openllm models` for.
namespace openllm::cli {

std::string bash_completion(const std::vector<TreeCommand>& commands);
std::string zsh_completion(const std::vector<TreeCommand>& commands);
std::string fish_completion(const std::vector<TreeCommand>& commands);

}  // namespace openllm::cli

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::cli {

/// Another name of a command.
struct CommandAlias {
  std::string_view name;
  std::string_view ours;  ///< One word or two.
};
/// All of them.
std::span<const CommandAlias> command_aliases() noexcept;

/// Puts our name in the place of another name of the command at the beginning of `words`. Throws
/// kInvalidArgument for commands of OpenLLM 0.4 that are not here, with what to use.
void use_our_command(std::vector<std::string>& words);

}  // namespace openllm::cli

#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace openllm::cli {

/// Puts our names in the place of option names that users know from other programs, where both mean
/// exactly the same: "--n-predict 5" becomes "--max-new-tokens 5". Names that mean something else
/// here, or something that this version cannot do, are errors that say what to use; a value that
/// asks for what happens anyway is left out. Names of options that `command` has stay as they are,
/// as do the values of options and what follows "--".
/// Throws kInvalidArgument or kUnsupported.
std::vector<std::string> with_our_names(const CLI::App& command, std::vector<std::string> words);

}  // namespace openllm::cli

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace openllm::cli {

/// An option of the command line or of its variable, as it can be given again.
struct GivenOption {
  std::string name{};                  ///< "--max-model-len", of a flag "--strict".
  std::optional<std::string> value{};  ///< Nothing for a flag.
  bool may_be_file = false;            ///< The value can be a path.
  /// "--max-model-len=4096": one word.
  std::string word() const { return value ? name + "=" + *value : name; }
};

/// What was given of the options that `command` shares with `other`, but for the model: each once
/// with the value that counts, those that may be repeated as often as they stood.
std::vector<GivenOption> given_options(const CLI::App& command, const CLI::App& other);

}  // namespace openllm::cli

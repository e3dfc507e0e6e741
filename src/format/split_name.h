#pragma once

#include <optional>
#include <string>

namespace openllm::format {

/// The name of one file of a split GGUF model: <prefix>-00001-of-00003.gguf.
struct SplitName {
  std::string prefix;
  int index = 0;  ///< From 1.
  int count = 0;

  /// The name of file `i`.
  std::string at(int i) const;
};

/// nullopt when the path does not end like that.
std::optional<SplitName> parse_split_name(const std::string& path);

}  // namespace openllm::format

#pragma once

#include <string>
#include <string_view>

namespace openllm::cli {

/// In single quotes, as one word for a shell.
inline std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

}  // namespace openllm::cli

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::cli {

/// A variable that is read; a name that ends in '*' stands for all that begin so.
struct Variable {
  std::string_view name;
  std::string_view help;
};
std::span<const Variable> known_variables() noexcept;

/// A sentence for each variable of the environment that begins as ours do and that nothing here
/// reads, with the nearest name of one that is read.
std::vector<std::string> unknown_variables(const char* const* environment);

}  // namespace openllm::cli

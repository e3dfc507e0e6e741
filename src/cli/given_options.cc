#include "cli/given_options.h"

#include <CLI/CLI.hpp>

namespace openllm::cli {
namespace {

/// The name of a flag that sets it to `value`: "--no-history" for "false".
std::string flag_for(const CLI::Option& option, const std::string& value) {
  for (const std::string& name : option.get_lnames()) {
    if (option.get_flag_value(name, "") == value) return "--" + name;
  }
  return "--" + option.get_lnames().front() + "=" + value;
}

void append(const CLI::Option& option, std::vector<GivenOption>& given) {
  const std::vector<std::string>& values = option.results();
  if (option.get_items_expected_max() == 0) {
    given.push_back({flag_for(option, values.back()), std::nullopt});
    return;
  }
  const std::string name = "--" + option.get_lnames().front();
  const std::string type = option.get_type_name();
  const bool may_be_file = type.find("FILE") != std::string::npos ||
                           type.find("DIR") != std::string::npos ||
                           type.find("PATH") != std::string::npos;
  const bool counts_once = option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeLast;
  for (std::size_t i = counts_once ? values.size() - 1 : 0; i < values.size(); ++i)
    given.push_back({name, values[i], may_be_file});
}

}  // namespace

std::vector<GivenOption> given_options(const CLI::App& command, const CLI::App& other) {
  std::vector<GivenOption> given;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (name != "model" && name != "help" && other.get_option_no_throw("--" + name) != nullptr)
      append(*option, given);
  }
  return given;
}

}  // namespace openllm::cli

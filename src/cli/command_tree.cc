#include "cli/command_tree.h"

#include <algorithm>
#include <functional>
#include <sstream>

#include "base/error.h"
#include "cli/common_options.h"
#include "cli/program.h"

namespace openllm::cli {
namespace {

constexpr const char* kModel = "MODEL";

/// A type of words that can be chosen from: "cpu|reference".
bool is_choice(const std::string& type) {
  const bool is_lower = std::all_of(type.begin(), type.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '|' || c == '_' || c == '-';
  });
  return !type.empty() && is_lower;
}

TreeValue value_of(const CLI::Option& option, bool is_model) {
  TreeValue value;
  if (option.get_items_expected_max() == 0) return value;
  value.name = option.get_type_name();
  value.kind = ValueKind::kText;
  if (is_model) {
    value.kind = ValueKind::kModel;
  } else if (is_choice(value.name)) {
    value.kind = ValueKind::kWords;
    std::istringstream words(value.name);
    for (std::string word; std::getline(words, word, '|');) value.values.push_back(word);
  } else if (value.name.find("FILE") != std::string::npos || option.get_name() == "PATH") {
    value.kind = ValueKind::kFile;
  }
  return value;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

TreeCommand describe(const CLI::App& app, const std::string& path) {
  TreeCommand command{.path = path, .help = app.get_description(), .footer = app.get_footer()};
  const bool takes_model = app.get_option_no_throw(kModel) != nullptr;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) {
      std::string help = option->get_description();
      const bool is_marked = help.ends_with(kRequired);
      if (is_marked) help.resize(help.size() - kRequired.size());
      command.arguments.push_back({option->get_name(), std::move(help),
                                   is_marked || option->get_required(),
                                   value_of(*option, option->get_name() == kModel)});
      continue;
    }
    const bool is_model = takes_model && option->check_lname("model");
    command.options.push_back({names_of(*option), option->get_description(), option->get_group(),
                               value_of(*option, is_model)});
  }
  return command;
}

void collect(const CLI::App& app, const std::string& path, std::vector<TreeCommand>& all) {
  all.push_back(describe(app, path));
  const std::size_t at = all.size() - 1;
  for (const CLI::App* below :
       app.get_subcommands(std::function<bool(const CLI::App*)>([](auto*) { return true; }))) {
    if (below->get_group().empty()) continue;
    all[at].commands.push_back(below->get_name());
    collect(*below, path.empty() ? below->get_name() : base::cat(path, " ", below->get_name()),
            all);
  }
}

}  // namespace

std::vector<TreeCommand> command_tree(const CLI::App& app) {
  std::vector<TreeCommand> all;
  collect(app, "", all);
  return all;
}

std::vector<TreeCommand> command_tree() {
  CLI::App app("", "openllm");
  Arguments ignored;
  describe_program(app, ignored);
  return command_tree(app);
}

}  // namespace openllm::cli

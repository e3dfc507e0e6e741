#include "cli/usage_error.h"

#include <functional>
#include <optional>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/exit_status.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// The error for an unexpected word: the word, and the nearest known one.
std::string describe_extra(const CLI::App& app, const std::string& word) {
  const bool is_option = word.size() > 1 && word[0] == '-';
  const std::string given = word.substr(0, is_option ? word.find('=') : std::string::npos);
  const std::vector<std::string> known = known_names(app, is_option);
  const std::optional<std::string> meant = base::nearest(given, known);
  const std::string hint = meant ? "; did you mean " + *meant + "?" : "";
  if (is_option) return base::cat("unknown option ", given, hint);
  if (!known.empty()) return base::cat("unknown command ", given, hint);
  return base::cat("one argument too many: ", word,
                   " (a text of several words is one argument when it is quoted)");
}

/// The same for all unexpected words. After "--", none is an option.
std::string describe_extras(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.front() != "--" || words.size() == 1) return describe_extra(app, words.front());
  return base::cat("one argument too many: ", words[1], " (options stand before --)");
}

}  // namespace

const CLI::App& innermost(const CLI::App& app, std::string& name) {
  name = "openllm";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return *at;
}

std::vector<std::string> known_names(const CLI::App& app, bool options) {
  std::vector<std::string> names;
  if (options) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_fnames()) names.push_back("--" + name);
    }
  } else {
    for (const CLI::App* command :
         app.get_subcommands(std::function<bool(const CLI::App*)>([](auto*) { return true; }))) {
      names.push_back(command->get_name());
    }
  }
  return names;
}

void report_usage(const std::string& command, std::string what) {
  for (char& c : what) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  note(base::cat("openllm: error: ", what, " (see `", command, " --help`)\n"));
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string command;
  const CLI::App& at = innermost(app, command);
  const std::vector<std::string> extras = at.remaining();
  std::string what = extras.empty() ? error.what() : describe_extras(at, extras);
  if (extras.empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && &at == &app) {
    what = "a command is missing";
  }
  report_usage(command, what);
  return kExitUsage;
}

}  // namespace openllm::cli

#include "cli/manual.h"

#include <openllm/version.h>

#include <array>
#include <sstream>

#include "base/error.h"
#include "cli/environment.h"
#include "cli/exit_status.h"

namespace openllm::cli {
namespace {

/// Text that means itself: '\' and '-' are orders and hyphens otherwise.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else {
      out += c;
    }
  }
  return out;
}

/// A line of text. '.' at its beginning would be an order.
std::string line(std::string_view text) {
  const std::string shown = escaped(text);
  return base::cat(shown.starts_with('.') ? "\\&" : "", shown, "\n");
}

std::string bold(std::string_view text) { return base::cat("\\fB", escaped(text), "\\fR"); }
std::string italic(std::string_view text) { return base::cat("\\fI", escaped(text), "\\fR"); }

/// Lines as they stand.
std::string verbatim(const std::string& text) {
  std::string out = ".PP\n.nf\n";
  std::istringstream lines(text);
  for (std::string one; std::getline(lines, one);) out += one.empty() ? "\\&\n" : line(one);
  return out + ".fi\n";
}

/// A heading with the text below it, indented.
std::string item(const std::string& title, std::string_view text) {
  return base::cat(".TP\n", title, "\n", line(text));
}

std::string title_of(const TreeOption& option) {
  std::string title;
  for (const std::string& name : option.names) title += (title.empty() ? "" : ", ") + bold(name);
  return option.value.name.empty() ? title : base::cat(title, " ", italic(option.value.name));
}

std::string synopsis_of(const TreeCommand& command) {
  std::string text = bold(command.path.empty() ? "openllm" : "openllm " + command.path);
  text += base::cat(" [", italic("OPTIONS"), "]");
  if (command.path.empty()) text += base::cat(" ", italic("COMMAND"));
  for (const TreeArgument& argument : command.arguments) {
    const std::string name = italic(argument.name);
    text += argument.is_required ? base::cat(" ", name) : base::cat(" [", name, "]");
  }
  return text + "\n";
}

std::string options_of(const TreeCommand& command) {
  std::string text;
  std::string group;
  for (const TreeOption& option : command.options) {
    if (option.group != group) text += base::cat(".PP\n", line(option.group + ":"));
    group = option.group;
    text += item(title_of(option), option.help.empty() ? " " : option.help);
  }
  return text;
}

std::string section_of(const TreeCommand& command) {
  std::string text = base::cat(".SS openllm ", escaped(command.path), "\n",
                               line(command.help + "."), ".PP\n", synopsis_of(command));
  for (const TreeArgument& argument : command.arguments)
    text += item(italic(argument.name), argument.help);
  text += options_of(command);
  return command.footer.empty() ? text : text + verbatim(command.footer);
}

}  // namespace

std::string manual_page(const std::vector<TreeCommand>& commands) {
  const TreeCommand& program = commands.front();
  std::string page =
      base::cat(".TH OPENLLM 1 \"\" \"openllm ", version(), "\" \"User Commands\"\n", ".SH NAME\n",
                "openllm \\- run open language models\n", ".SH SYNOPSIS\n", synopsis_of(program),
                ".SH DESCRIPTION\n", line(program.help), options_of(program), ".SH COMMANDS\n");
  for (const TreeCommand& command : commands) {
    if (!command.path.empty()) page += section_of(command);
  }
  page += ".SH EXIT STATUS\n";
  for (const StatusMeaning& status : kStatusMeanings)
    page += item(bold(std::to_string(status.status)), status.meaning);
  page += ".SH ENVIRONMENT\n";
  for (const Variable& variable : known_variables())
    page += item(bold(variable.name), variable.help);
  return page + base::cat(".SH EXAMPLES\n", verbatim(program.footer));
}

}  // namespace openllm::cli

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/command_names.h"
#include "cli/commands/commands.h"
#include "cli/environment.h"
#include "cli/exit_status.h"
#include "cli/program.h"
#include "cli/quiet.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

struct Command {
  std::string_view name;
  int (*run)(const Arguments&);
};

constexpr std::array kCommands{
    Command{"run", run_command},
    Command{"start", start_command},
    Command{"build", build_command},
    Command{"doctor", doctor_command},
    Command{"query", query_command},
    Command{"embed", embed_command},
    Command{"score", score_command},
    Command{"rerank", rerank_command},
    Command{"models", models_command},
    Command{"models list", models_command},
    Command{"models add", models_add_command},
    Command{"models remove", models_remove_command},
    Command{"import", import_command},
    Command{"prune", prune_command},
    Command{"verify", verify_command},
    Command{"du", du_command},
    Command{"get-prompt", get_prompt_command},
    Command{"completion", completion_command},
    Command{"man", man_command},
    Command{"inspect", inspect_command},
    Command{"tokenize", tokenize_command},
    Command{"detokenize", detokenize_command},
    Command{"template", template_command},
    Command{"logits", logits_command},
    Command{"replay", replay_command},
    Command{"fields", fields_command},
    Command{"backends", backends_command},
    Command{"compare", compare_command},
};

void report(std::string_view what) { note(base::cat("openllm: error: ", what, "\n")); }

/// A standard stream that the caller closed would be handed to the next file that is opened, which
/// then gets the program's output. /dev/null for reading stands in: reading finds the end, writing
/// fails.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (::open("/dev/null", O_RDONLY) < 0) return;
  }
}

/// For --verbose: what an error's message leaves out.
void tell_more(const Error& error) {
  note(base::cat("openllm: debug: the error is ", to_string(error.code()), ", ",
                 to_string(error.reason()), error.where().empty() ? "" : ", about ", error.where(),
                 "\n"));
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& cause) {
    note(base::cat("openllm: debug: because of: ", cause.what(), "\n"));
  } catch (...) {
    note("openllm: debug: because of an exception of another kind\n");
  }
}

int run_command_of(const Arguments& arguments) {
  // A chat is shown on standard error.
  const Quiet quiet(arguments.quiet && !is_chat(arguments));
  for (const std::string& sentence : unknown_variables(::environ))
    note(base::cat("openllm: note: ", sentence, "\n"));
  for (const Command& command : kCommands) {
    if (command.name == arguments.command) return command.run(arguments);
  }
  base::fail(ErrorCode::kInternal, "unknown command ", arguments.command);
}

/// " (option --dtype)", where the error is about an option of loading that was given.
std::string blamed_option(const Arguments& arguments, const Error& error) {
  std::string name = base::cat("--", error.where());
  std::replace(name.begin(), name.end(), '_', '-');
  if (std::string_view(error.what()).find("--") != std::string_view::npos) return "";
  CLI::App app;
  Arguments unused;
  describe_program(app, unused);
  const auto commands = app.get_subcommands(
      [&](const CLI::App* command) { return command->get_name() == arguments.command; });
  const CLI::Option* option =
      commands.empty() ? nullptr : commands.front()->get_option_no_throw(name);
  if (option == nullptr || option->get_group() != "Loading") return "";
  return base::cat(" (option ", name, ")");
}

int run(int argc, char** argv) {
  ParsedArguments parsed;
  const Arguments& arguments = parsed.arguments;
  try {
    parsed = parse_arguments(argc, argv);
    return parsed.exit_status ? *parsed.exit_status : run_command_of(arguments);
  } catch (const Error& error) {
    report(error.what() + blamed_option(arguments, error));
    if (arguments.verbose) tell_more(error);
    return exit_status(error.code());
  } catch (const std::exception& error) {
    report(error.what());
    return exit_status(ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace openllm::cli

int main(int argc, char** argv) {
  openllm::cli::fill_standard_streams();
  // A closed connection must not end the program; `print` sees a closed pipe itself.
  ::signal(SIGPIPE, SIG_IGN);
  // A file that must not grow further is an error like a full disk.
  ::signal(SIGXFSZ, SIG_IGN);
  return openllm::cli::run(argc, argv);
}

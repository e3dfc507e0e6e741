#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/commands/commands.h"
#include "cli/environment.h"
#include "cli/exit_status.h"
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
    Command{"query", query_command},
    Command{"models", models_command},
    Command{"models list", models_command},
    Command{"models add", models_add_command},
    Command{"models remove", models_remove_command},
    Command{"info", info_command},
    Command{"tokenize", tokenize_command},
    Command{"logits", logits_command},
    Command{"fields", fields_command},
    Command{"backends", backends_command},
};

void report(std::string_view what, std::string_view hint = {}) {
  note(base::cat("openllm: error: ", what, hint, "\n"));
}

/// A standard stream that the caller closed would be handed to the next file that is opened, which
/// then gets the program's output. /dev/null for reading stands in: reading finds the end, writing
/// fails.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (::open("/dev/null", O_RDONLY) < 0) return;
  }
}

int run(int argc, char** argv) {
  std::string model;
  try {
    const ParsedArguments parsed = parse_arguments(argc, argv);
    model = parsed.arguments.model;
    if (parsed.exit_status) return *parsed.exit_status;
    for (const std::string& sentence : unknown_variables(::environ))
      note(base::cat("openllm: note: ", sentence, "\n"));
    for (const Command& command : kCommands) {
      if (command.name == parsed.arguments.command) return command.run(parsed.arguments);
    }
    base::fail(ErrorCode::kInternal, "unknown command ", parsed.arguments.command);
  } catch (const Error& error) {
    // No hint about the store for a server's models (`query`).
    const bool unknown_model = error.reason() == ErrorReason::kModelNotFound && !model.empty();
    report(error.what(), unknown_model ? ", `scripts/fetch-model` fetches one into it" : "");
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

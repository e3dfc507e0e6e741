#include <signal.h>

#include <array>
#include <exception>
#include <string_view>

#include "base/error.h"
#include "cli/commands/commands.h"
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
    Command{"models add", models_add_command},
    Command{"models remove", models_remove_command},
    Command{"info", info_command},
    Command{"tokenize", tokenize_command},
    Command{"logits", logits_command},
    Command{"backends", backends_command},
};

void report(std::string_view what, std::string_view hint = {}) {
  clear_progress_bar();
  note(base::cat("openllm: error: ", what, hint, "\n"));
}

int run(int argc, char** argv) {
  try {
    const ParsedArguments parsed = parse_arguments(argc, argv);
    if (parsed.exit_status) return *parsed.exit_status;
    for (const Command& command : kCommands) {
      if (command.name == parsed.arguments.command) return command.run(parsed.arguments);
    }
    base::fail(ErrorCode::kInternal, "unknown command ", parsed.arguments.command);
  } catch (const Error& error) {
    const bool unknown_model = error.code() == ErrorCode::kNotFound &&
                               std::string_view(error.what()).ends_with("lists the store");
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
  ::signal(
      SIGPIPE,
      SIG_IGN);  // a closed connection must not end the program; `print` sees a closed pipe itself
  return openllm::cli::run(argc, argv);
}

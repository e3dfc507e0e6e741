#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/commands/commands.h"

namespace openllm::cli {
namespace {

struct Command {
  std::string_view name;
  int (*run)(const Arguments&);
};

constexpr Command kCommands[] = {
    {"run", run_command},           {"start", start_command},         {"query", query_command},
    {"models", models_command},     {"models add", models_add_command}, {"models remove", models_remove_command},
    {"logits", logits_command},     {"tokenize", tokenize_command},   {"info", info_command},
};

/// The only place that turns codes into exit statuses. 0: done, 1: failed, 2: wrong use.
int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return 2;
    case ErrorCode::kNotFound: return 3;
    case ErrorCode::kUnsupported: return 4;
    case ErrorCode::kCorruptData: return 5;
    case ErrorCode::kResourceExhausted: return 6;
    case ErrorCode::kIo:
    case ErrorCode::kUnavailable: return 7;
    case ErrorCode::kDeadline: return 8;
    case ErrorCode::kCancelled: return 130;
    case ErrorCode::kInternal: return 1;
  }
  return 1;
}

int run(int argc, char** argv) {
  ParsedArguments parsed = parse_arguments(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  try {
    resolve(parsed.arguments);
    for (const Command& command : kCommands) {
      if (command.name == parsed.arguments.command) return command.run(parsed.arguments);
    }
    std::fprintf(stderr, "openllm: error: unknown command %s\n", parsed.arguments.command.c_str());
    return 2;
  } catch (const Error& error) {
    std::fprintf(stderr, "openllm: error: %s\n", error.what());
    return exit_status(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "openllm: error: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace openllm::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return openllm::cli::run(argc, argv);
}

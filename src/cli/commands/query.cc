#include "base/error.h"
#include "cli/answer.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// A question to a server, with all that asking it needs.
struct Question {
  const Client& client;
  const Arguments& arguments;
  const InterruptGuard& guard;
  GenerateOptions options;

  /// Asks, and prints the answer. Returns the exit status.
  int ask(const Prompt& prompt) const {
    const bool show = arguments.stream && !arguments.json && options.n == 1;
    if (!arguments.stream) {
      const GenerationOutput output = client.generate(prompt, options);
      print_result(output, arguments.json);
      return status_of(output);
    }
    bool has_text = false;
    const auto on_output = [&](const GenerationOutput& output) {
      if (!show || output.outputs.empty()) return !guard.interrupted();
      print_answer(output.outputs[0].delta);
      has_text = has_text || !output.outputs[0].delta.empty();
      return !guard.interrupted();
    };
    GenerationOutput last;
    try {
      last = client.generate_stream(prompt, options, on_output);
    } catch (const Error&) {
      if (has_text) print("\n");  // the error's message gets a line of its own
      throw;
    }
    if (show) {
      print("\n");
    } else {
      print_result(last, arguments.json);
    }
    return status_of(last);
  }

  /// Has the text continued as it is, by as many tokens as `run` would.
  int continue_text(const std::string& text) {
    if (!options.max_new_tokens) options.max_new_tokens = kCompletionTokens;
    return ask(text);
  }
};

}  // namespace

int query_command(const Arguments& arguments) {
  if (!arguments.text && stdin_is_terminal()) {
    base::fail(ErrorCode::kInvalidArgument,
               "query: PROMPT is missing (give it, or pipe it into standard input)");
  }
  const std::string text = arguments.text ? *arguments.text : read_stdin();
  const Client client(arguments.client);
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  Question question{client, arguments, guard, arguments.generate};
  question.options.stop_token = guard.token();
  if (arguments.raw) {
    if (!arguments.system.empty()) {
      base::fail(ErrorCode::kInvalidArgument,
                 "--system: needs a chat template, which --raw does not use");
    }
    const int status = question.continue_text(text);
    return guard.interrupted() ? kExitInterrupted : status;
  }
  std::vector<Message> messages = with_system(arguments.system);
  messages.push_back({.role = "user", .content = text});
  int status = 0;
  try {
    status = question.ask(messages);
  } catch (const Error& error) {
    // A model without a chat template, or a server without chats: nothing was answered yet. Like
    // `run`, continue the text.
    const bool has_no_chat =
        error.code() == ErrorCode::kUnsupported && error.reason() != ErrorReason::kUnsupportedField;
    if (!has_no_chat || !arguments.system.empty()) throw;
    status = question.continue_text(text);
  }
  return guard.interrupted() ? kExitInterrupted : status;
}

}  // namespace openllm::cli

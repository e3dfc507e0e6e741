#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_session.h"
#include "cli/chat_settings.h"
#include "cli/commands/commands.h"
#include "cli/defaults.h"
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
      return status_of(output, arguments.generate, options);
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
    return status_of(last, arguments.generate, options);
  }

  /// Has the text continued as it is, by as many tokens as `run` would.
  int continue_text(const std::string& text) {
    if (!options.max_new_tokens) options.max_new_tokens = kCompletionTokens;
    return ask(text);
  }

  int answer(const std::string& text) {
    if (arguments.raw) return continue_text(text);
    std::vector<Message> messages = with_system(arguments.system);
    messages.push_back({.role = "user", .content = text});
    try {
      return ask(messages);
    } catch (const Error& error) {
      // A model without a chat template, or a server without chats: nothing was answered yet. Like
      // `run`, continue the text.
      const bool has_no_chat = error.code() == ErrorCode::kUnsupported &&
                               error.reason() != ErrorReason::kUnsupportedField;
      if (!has_no_chat || !arguments.system.empty()) throw;
      return continue_text(text);
    }
  }
};

int chat(const Client& client, const Arguments& arguments) {
  if (arguments.json || !arguments.stream) {
    base::fail(ErrorCode::kInvalidArgument, arguments.json ? "--json" : "--no-stream",
               ": needs a PROMPT or standard input");
  }
  check_for_chat(arguments.generate);
  std::string model = arguments.client.model;
  if (model.empty()) {
    const std::vector<std::string> models = client.models();
    if (models.empty()) base::fail(ErrorCode::kNotFound, "query: the server has no models");
    model = models.front();
  }
  const ServerResponder responder(client, model);
  return ChatSession(responder, arguments, Asked::kServer).run();
}

}  // namespace

int query_command(const Arguments& arguments) {
  if (arguments.raw)
    check_template_is_used(arguments.generate, arguments.system, "--raw does not use");
  const Client client(arguments.client);
  if (arguments.source.is_empty() && stdin_is_terminal()) return chat(client, arguments);
  check_shown(arguments);
  const std::string text = gather_prompt(arguments.source, "query").value_or("");
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  Question question{client, arguments, guard, arguments.generate};
  question.options.stop_token = guard.token();
  int status = 0;
  try {
    status = question.answer(text);
  } catch (const Error& error) {
    rethrow_for_user(error, "context of the server's model");
  }
  return guard.interrupted() ? kExitInterrupted : status;
}

}  // namespace openllm::cli

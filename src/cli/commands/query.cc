#include <optional>
#include <string>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_session.h"
#include "cli/chat_settings.h"
#include "cli/commands/commands.h"
#include "cli/defaults.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/receipt_file.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// Prints the text of the first choice as it comes, unless several were asked for. How many there
/// are is the server's affair where nobody says; the others follow when they are whole.
class LiveText {
 public:
  LiveText(bool is_shown, std::optional<int> n) : is_shown_(is_shown && n.value_or(1) == 1) {}

  void add(const GenerationOutput& output) {
    if (is_shown_ && !output.outputs.empty()) print_rest(output);
  }
  /// The error's message gets a line of its own.
  void fail() const {
    if (n_printed_ > 0) print("\n");
  }
  void end(const GenerationOutput& last, bool is_json) {
    if (!is_shown_ || last.outputs.empty()) {
      print_result(last, is_json);
      return;
    }
    print_rest(last);
    print("\n");
    for (const CompletionChunk& chunk : last.outputs) {
      if (chunk.index > 0) print_answer(base::cat("[", chunk.index, "] ", chunk.text, "\n"));
    }
  }

 private:
  void print_rest(const GenerationOutput& output) {
    print_answer(output.outputs[0].text.substr(n_printed_));
    n_printed_ = output.outputs[0].text.size();
  }

  const bool is_shown_;
  std::size_t n_printed_ = 0;
};

/// A question to a server, with all that asking it needs.
struct Question {
  const Client& client;
  const Arguments& arguments;
  const InterruptGuard& guard;
  GenerateOptions options;

  /// Asks, and prints the answer. Returns the exit status.
  int ask(const Prompt& prompt) const {
    if (!arguments.stream) {
      const GenerationOutput output = client.generate(prompt, options);
      print_result(output, arguments.json);
      write_receipt(arguments.receipt, output);
      return status_of(output, arguments.generate, options);
    }
    LiveText live(!arguments.json, options.n);
    const auto on_output = [&](const GenerationOutput& output) {
      live.add(output);
      return !guard.interrupted();
    };
    GenerationOutput last;
    try {
      last = client.generate_stream(prompt, options, on_output);
    } catch (const Error&) {
      live.fail();
      throw;
    }
    live.end(last, arguments.json);
    write_receipt(arguments.receipt, last);
    return status_of(last, arguments.generate, options);
  }

  /// Has the text continued as it is, by as many tokens as `run` would.
  int continue_text(const std::string& text) {
    if (!fields::has_length(options)) options.max_new_tokens = kCompletionTokens;
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
  const bool chats = is_chat(arguments);
  check_receipt(arguments, chats);
  const Client client(arguments.client);
  if (chats) return chat(client, arguments);
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

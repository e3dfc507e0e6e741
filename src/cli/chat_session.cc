#include "cli/chat_session.h"

#include "base/error.h"
#include "cli/answer.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

constexpr const char* kHelp =
    "  /clear         forget the conversation\n"
    "  /system TEXT   set the system message and begin anew; without TEXT: none\n"
    "  /help          this list\n"
    "  /exit          leave\n"
    "Ctrl-C stops an answer. Ctrl-D, or Ctrl-C twice at the prompt, leaves.\n";

}  // namespace

ChatSession::ChatSession(const LLM& llm, const Arguments& arguments, double load_s)
    : llm_(llm),
      arguments_(arguments),
      chat_(llm.info().has_chat_template && !arguments.raw),
      load_s_(load_s),
      system_(arguments.system),
      messages_(with_system(system_)) {}

int ChatSession::run() {
  LineReader reader(">>> ");
  note(base::cat(chat_ ? "Chat with " : "Each line is continued by ", llm_.id(),
                 ". /help lists the commands.\n"));
  bool interrupted = false;
  while (true) {
    const LineReader::Line line = reader.read();
    if (line.end || (line.interrupted && interrupted)) {
      note("\n");
      return 0;
    }
    interrupted = line.interrupted;
    if (line.interrupted) {
      note("\n(Ctrl-C again, Ctrl-D or /exit leaves)\n");
    } else if (line.text.starts_with('/')) {
      if (!handle_command(line.text)) return 0;
    } else if (line.text.find_first_not_of(" \t\n") != std::string::npos) {
      take_turn(line.text);
    }
  }
}

bool ChatSession::handle_command(const std::string& text) {
  const std::size_t space = text.find_first_of(" \n");
  const std::string name = text.substr(0, space);
  if (name == "/exit" || name == "/quit" || name == "/bye") return false;
  if (name == "/clear") {
    messages_ = with_system(system_);
    note("(forgotten)\n");
  } else if (name == "/system") {
    system_ = space == std::string::npos ? "" : text.substr(space + 1);
    messages_ = with_system(system_);
    note(system_.empty() ? "(no system message)\n" : "(system message set)\n");
  } else if (name == "/help" || name == "/?") {
    note(kHelp);
  } else {
    note(base::cat("unknown command ", name, "; /help lists them\n"));
  }
  return true;
}

void ChatSession::take_turn(const std::string& text) {
  const InterruptGuard guard(InterruptPipe::Second::kNothing);
  GenerateOptions options = arguments_.generate;
  options.stop_token = guard.token();
  options.n = 1;
  Prompt prompt(text);
  if (chat_) {
    messages_.push_back({.role = "user", .content = text});
    prompt = Prompt(messages_);
  } else {
    limit_completion(llm_, options);
  }
  try {
    Timing timing{.load_s = load_s_};
    const GenerationOutput output = answer(llm_, prompt, options, Show::kStream, timing);
    const std::string said = output.outputs.empty() ? "" : output.outputs[0].text;
    if (chat_) messages_.push_back({.role = "assistant", .content = said});
    print("\n");
    if (guard.interrupted()) {
      note("(stopped)\n");
    } else if (chat_ && !output.outputs.empty() &&
               output.outputs[0].finish_reason == FinishReason::kLength) {
      note("(cut off: --max-new-tokens is reached or the context is full; /clear empties it)\n");
    }
    if (arguments_.verbose) note(describe(timing) + "\n");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
    if (chat_) messages_.pop_back();  // so that the next turn can go on from before
    const bool too_long = error.reason() == ErrorReason::kContextTooLong;
    note(base::cat("\nopenllm: error: ", error.what(),
                   chat_ && too_long ? " (or /clear forgets the conversation)" : "", "\n"));
  }
}

}  // namespace openllm::cli

#include "cli/chat_session.h"

#include <algorithm>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_file.h"
#include "cli/chat_settings.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

constexpr const char* kHelp =
    "  /clear           forget the conversation\n"
    "  /system TEXT     set the system message and begin anew; without TEXT: none\n"
    "  /set NAME VALUE  set an option of answers, as temperature 0.5; VALUE default sets it back\n"
    "  /set             show the options that are set\n"
    "  /save FILE       write the conversation and its options to a file\n"
    "  /load FILE       go on with a conversation from a file\n"
    "  /help            this list\n"
    "  /exit            leave\n"
    "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a text of many lines.\n"
    "Ctrl-C stops an answer or takes a line back. Ctrl-D, or Ctrl-C twice on an empty line, "
    "leaves.\n";
constexpr std::string_view kFence = "\"\"\"";
constexpr const char* kPrompt = ">>> ";
constexpr const char* kFurtherPrompt = "... ";

/// The first word, and what follows the spaces after it.
std::pair<std::string, std::string> split_word(const std::string& text) {
  const std::size_t space = std::min(text.find_first_of(" \t\n"), text.size());
  const std::size_t rest = std::min(text.find_first_not_of(" \t\n", space), text.size());
  std::string tail = text.substr(rest);
  tail.erase(tail.find_last_not_of(" \t\n") + 1);
  return {text.substr(0, space), tail};
}

/// A word such as "/help"; "/usr/bin" begins a text.
bool is_command(const std::string& text) {
  if (!text.starts_with('/')) return false;
  const std::string name = split_word(text).first;
  return name == "/?" ||
         std::all_of(name.begin() + 1, name.end(), [](char c) { return (c >= 'a' && c <= 'z'); });
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

}  // namespace

ChatSession::ChatSession(const Responder& responder, const Arguments& arguments, Asked asked,
                         double load_s)
    : responder_(responder),
      arguments_(arguments),
      asked_(asked),
      load_s_(load_s),
      chat_(responder.has_chat_template() && !arguments.raw),
      options_(arguments.generate),
      conversation_(arguments.system),
      history_(arguments.history ? history_path() : "") {
  check_for_chat(options_);
  if (!chat_) {
    check_template_is_used(options_, arguments.system,
                           arguments.raw ? "--raw does not use" : "this model does not have");
  }
  for (const std::string& entry : history_.entries()) reader_.remember(entry);
}

int ChatSession::run() {
  const InterruptShield shield;
  note(base::cat(chat_ ? "Chat with " : "Each input is continued by ", responder_.name(),
                 ". /help lists the commands.\n"));
  while (const std::optional<Input> input = read_input()) {
    if (is_blank(input->text)) continue;
    if (input->is_command) {
      if (!handle_command(input->text)) return 0;
    } else {
      take_turn(input->text);
    }
  }
  note("\n");
  return 0;
}

std::optional<ChatSession::Input> ChatSession::read_input() {
  const LineReader::Line line = reader_.read(kPrompt);
  if (line.end) return std::nullopt;
  if (line.interrupted) {
    if (may_leave_ && line.is_untouched) return std::nullopt;
    may_leave_ = line.is_untouched;
    note(may_leave_ ? "\n(Ctrl-C again, Ctrl-D or /exit leaves)\n" : "\n");
    return Input{};
  }
  may_leave_ = false;
  std::string text = line.text;
  if (!read_further_lines(text)) return Input{};
  reader_.remember(text);
  history_.add(PasteFilter::in_one_line(text));
  if (text.starts_with(kFence)) {
    text.erase(0, kFence.size());
    if (text.ends_with(kFence)) text.erase(text.size() - kFence.size());
    if (text.starts_with('\n')) text.erase(0, 1);
    if (text.ends_with('\n')) text.pop_back();
    return Input{.text = text, .is_command = false};
  }
  return Input{.text = text, .is_command = is_command(text)};
}

bool ChatSession::read_further_lines(std::string& text) {
  const bool is_fenced = text.starts_with(kFence);
  const auto goes_on = [&] {
    if (!is_fenced) return text.ends_with('\\');
    return text.size() < 2 * kFence.size() || !text.ends_with(kFence);
  };
  while (goes_on()) {
    const LineReader::Line line = reader_.read(kFurtherPrompt);
    if (line.interrupted || line.end) {
      note("\n");
      return false;
    }
    if (!is_fenced) text.pop_back();
    text += "\n" + line.text;
  }
  return true;
}

bool ChatSession::handle_command(const std::string& text) {
  const auto [name, rest] = split_word(text);
  if (name == "/exit" || name == "/quit" || name == "/bye") return false;
  try {
    if (name == "/clear") {
      conversation_.clear();
      is_full_ = false;
      note("(forgotten)\n");
    } else if (name == "/system") {
      conversation_.begin_anew(rest);
      note(rest.empty() ? "(no system message)\n" : "(system message set)\n");
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/save") {
      save(rest);
    } else if (name == "/load") {
      load(rest);
    } else if (name == "/help" || name == "/?") {
      note(kHelp);
    } else {
      note(base::cat("unknown command ", name, "; /help lists them\n"));
    }
  } catch (const Error& error) {
    note(base::cat("openllm: error: ", error.what(), "\n"));
  }
  return true;
}

void ChatSession::set(const std::string& rest) {
  if (rest.empty()) {
    const base::Json given = fields_to_json(options_);
    if (given.if_object()->empty()) note("(nothing is set; `openllm fields` lists the options)\n");
    for (const auto& [name, value] : *given.if_object())
      note(base::cat(name, " = ", value.dump(), "\n"));
    return;
  }
  const auto [name, value] = split_word(rest);
  if (value.empty()) {
    base::fail(ErrorCode::kInvalidArgument, "/set ", name,
               ": a value is missing (`default` sets it back)");
  }
  const std::string field = set_field(options_, asked_, name, value);
  const base::Json now = fields_to_json(options_);
  const base::Json* shown = now.find(field);
  note(base::cat("(", field, " = ", shown == nullptr ? "default" : shown->dump(), ")\n"));
}

void ChatSession::save(const std::string& path) const {
  if (path.empty()) base::fail(ErrorCode::kInvalidArgument, "/save: the name of a file is missing");
  base::Json chat = base::Json::object();
  chat["model"] = responder_.name();
  chat["messages"] = conversation_.to_json();
  chat["options"] = fields_to_json(options_);
  save_chat(expand_home(path), chat);
  note(base::cat("(saved to ", path, ")\n"));
}

void ChatSession::load(const std::string& path) {
  if (path.empty()) base::fail(ErrorCode::kInvalidArgument, "/load: the name of a file is missing");
  if (!chat_) {
    base::fail(ErrorCode::kUnsupported,
               "/load: a conversation needs a chat template, which is not used here");
  }
  const base::Json chat = load_chat(expand_home(path));
  const base::Json* messages = chat.find("messages");
  GenerateOptions options = options_;
  if (const base::Json* given = chat.find("options")) fields_from_json(options, asked_, *given);
  conversation_.from_json(messages == nullptr ? chat : *messages);
  options_ = std::move(options);
  is_full_ = false;
  note(base::cat("(a conversation of ", conversation_.messages().size(), " messages from ", path,
                 ")\n"));
}

void ChatSession::take_turn(const std::string& text) {
  try {
    if (chat_) {
      conversation_.ask(text);
      try {
        return answer_messages(one_answer());
      } catch (const Error& error) {
        conversation_.take_back();  // so that the next turn can go on from before
        // A server whose model has no chat template, or that has no chats.
        const bool has_no_chat = asked_ == Asked::kServer &&
                                 error.code() == ErrorCode::kUnsupported &&
                                 error.reason() != ErrorReason::kUnsupportedField;
        if (!has_no_chat || !conversation_.messages().empty()) throw;
      }
      chat_ = false;
      note("(the server has no chat for its model: each input is continued)\n");
    }
    continue_text(text, one_answer());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
    const bool is_too_long = error.reason() == ErrorReason::kContextTooLong;
    note(base::cat("\nopenllm: error: ",
                   is_too_long ? "this is too long for the context" : error.what(), "\n"));
  }
}

GenerateOptions ChatSession::one_answer() const {
  GenerateOptions options = options_;
  options.n = 1;
  return options;
}

void ChatSession::answer_messages(GenerateOptions options) {
  const InterruptGuard guard(InterruptPipe::Second::kNothing);
  options.stop_token = guard.token();
  make_room(options);
  Timing timing{.load_s = load_s_};
  while (true) {
    try {
      const GenerationOutput output =
          answer(responder_, conversation_.messages(), options, Show::kStream, timing);
      print("\n");
      conversation_.answer(output.outputs.empty() ? "" : output.outputs[0].text);
      note_end(output, guard.interrupted());
      break;
    } catch (const Error& error) {
      if (error.reason() != ErrorReason::kContextTooLong || conversation_.n_turns() < 2) throw;
      forget_oldest_turn();
    }
  }
  if (arguments_.verbose) note(describe(timing) + "\n");
}

void ChatSession::continue_text(const std::string& text, GenerateOptions options) {
  const InterruptGuard guard(InterruptPipe::Second::kNothing);
  options.stop_token = guard.token();
  if (!fields::has_length(options)) options.max_new_tokens = responder_.completion_tokens();
  Timing timing{.load_s = load_s_};
  const GenerationOutput output = answer(responder_, text, options, Show::kStream, timing);
  print("\n");
  note_end(output, guard.interrupted());
  if (arguments_.verbose) note(describe(timing) + "\n");
}

void ChatSession::make_room(const GenerateOptions& options) {
  if (options.truncate_prompt.value_or(false)) return;
  if (is_full_) {
    // How much room a server has is not known: half of what filled it makes way.
    const std::size_t keep = (conversation_.n_turns() + 1) / 2;
    while (conversation_.n_turns() > keep) forget_oldest_turn();
    is_full_ = false;
  }
  while (conversation_.n_turns() > 1) {
    const std::optional<Responder::Room> room = responder_.room(conversation_.messages(), options);
    if (!room) return;
    const int asked = options.max_new_tokens.value_or(-1);
    const std::size_t wanted = asked < 0
                                   ? room->context / 4
                                   : std::min(static_cast<std::size_t>(asked), room->context / 2);
    if (room->used + wanted <= room->context) return;
    forget_oldest_turn();
  }
}

void ChatSession::forget_oldest_turn() {
  if (!conversation_.drop_oldest_turn() || has_told_forgetting_) return;
  has_told_forgetting_ = true;
  note("(the context is full: the oldest turns are forgotten from now on)\n");
}

void ChatSession::note_end(const GenerationOutput& output, bool is_stopped) {
  if (is_stopped) return note("(stopped)\n");
  if (output.outputs.empty()) return;
  const CompletionChunk& chunk = output.outputs[0];
  if (chunk.finish_reason == FinishReason::kDeadline)
    return note("(cut off: the time of --timeout was over)\n");
  if (chunk.finish_reason != FinishReason::kLength || !chat_) return;
  if (options_.max_new_tokens.value_or(-1) >= 0)
    return note("(cut off: the length of --max-tokens or the end of the context was reached)\n");
  is_full_ = true;
  note("(cut off: the context is full)\n");
}

}  // namespace openllm::cli

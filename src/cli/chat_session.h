#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/arguments.h"
#include "cli/conversation.h"
#include "cli/history.h"
#include "cli/line_reader.h"
#include "cli/options.h"
#include "cli/responder.h"

namespace openllm::cli {

/// The interactive loop on a terminal: a conversation, or for a model without a chat template one
/// completion for each input.
class ChatSession {
 public:
  /// `asked` says what the responder can be asked for. A model's load time is part of --verbose.
  ChatSession(const Responder& responder, const Arguments& arguments, Asked asked,
              double load_s = 0.0);
  /// Until the user leaves; returns the exit status.
  int run();

 private:
  struct Input {
    std::string text{};
    bool is_command = false;
  };
  /// One input: a line, or several by a backslash at the end or between lines of """, which are no
  /// command whatever they look like. Empty when Ctrl-C took it back. Nothing: leave.
  std::optional<Input> read_input();
  /// The lines of an input whose first one is `text`. False when Ctrl-C took it back or the input
  /// ended.
  bool read_further_lines(std::string& text);
  /// False: leave.
  bool handle_command(const std::string& text);
  void set(const std::string& rest);
  void save(const std::string& path) const;
  void load(const std::string& path);
  void take_turn(const std::string& text);
  /// The options of a turn: a chat shows one answer, whatever number is the default.
  GenerateOptions one_answer() const;
  /// Answers, and forgets old turns for it where the context is full.
  void answer_messages(GenerateOptions options);
  void continue_text(const std::string& text, GenerateOptions options);
  /// Forgets the oldest turns until the answer has room.
  void make_room(const GenerateOptions& options);
  void forget_oldest_turn();
  /// Says how the answer ended, where it did not end by itself.
  void note_end(const GenerationOutput& output, bool is_stopped);

  const Responder& responder_;
  const Arguments& arguments_;
  const Asked asked_;
  const double load_s_;
  bool chat_;
  GenerateOptions options_;
  Conversation conversation_;
  History history_;
  LineReader reader_;
  bool is_full_ = false;  ///< The last answer ended where the context did.
  bool has_told_forgetting_ = false;
  bool may_leave_ = false;  ///< The last thing was Ctrl-C on an empty line.
};

}  // namespace openllm::cli

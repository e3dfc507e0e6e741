#pragma once

#include <openllm/chat.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace openllm::cli {

/// The messages of a chat: at most one system message, then turns, each of which begins with a
/// user's message.
class Conversation {
 public:
  explicit Conversation(std::string system) { begin_anew(std::move(system)); }

  /// Forgets everything; an empty `system` is none.
  void begin_anew(std::string system);
  /// Forgets all turns.
  void clear() { begin_anew(system()); }
  std::string system() const;
  const std::vector<Message>& messages() const noexcept { return messages_; }
  bool has_turns() const noexcept { return n_turns() > 0; }

  void ask(std::string text) { add("user", std::move(text)); }
  void answer(std::string text) { add("assistant", std::move(text)); }
  /// Takes back what was asked last and has no answer.
  void take_back();
  /// Forgets the oldest whole turn. False when it is the only one.
  bool drop_oldest_turn();
  std::size_t n_turns() const noexcept;

  base::Json to_json() const;
  /// Takes the place of this conversation by an array of messages with role and content. Throws
  /// kInvalidArgument, and then nothing has changed.
  void from_json(const base::Json& messages);

 private:
  void add(const char* role, std::string text) {
    messages_.push_back({.role = role, .content = std::move(text)});
  }
  /// Index of the first message that is no system message.
  std::size_t first_turn() const noexcept;

  std::vector<Message> messages_;
};

}  // namespace openllm::cli

#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"

namespace openllm::cli {

/// The interactive loop on a terminal: a conversation, or for a model without a chat template one
/// completion a line.
class ChatSession {
 public:
  ChatSession(const LLM& llm, const Arguments& arguments, double load_s);
  /// Until the user leaves; returns the exit status.
  int run();

 private:
  /// False: leave.
  bool handle_command(const std::string& text);
  void take_turn(const std::string& text);

  const LLM& llm_;
  const Arguments& arguments_;
  const bool chat_;
  const double load_s_;
  std::string system_;
  std::vector<Message> messages_;
};

}  // namespace openllm::cli

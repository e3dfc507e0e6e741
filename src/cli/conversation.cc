#include "cli/conversation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/message_json.h"

namespace openllm::cli {
namespace {

bool is_user(const Message& message) { return message.role == "user"; }

Message to_message(const base::Json& entry, std::size_t index) {
  const std::string where = base::cat("messages[", index, "]");
  Message message;
  base::Json extra = base::Json::object();
  for (const auto& [key, value] : entry.as_object(where)) {
    if (key == "role") {
      message.role = value.as_string(where + ".role");
    } else if (key == "content") {
      message.content = value.as_string(where + ".content");
    } else {
      extra[key] = value;
    }
  }
  if (message.role.empty())
    base::fail_at(ErrorCode::kInvalidArgument, where + ".role", "is missing");
  if (message.role == "system" && index > 0) {
    base::fail_at(ErrorCode::kInvalidArgument, where + ".role",
                  "a system message begins a conversation (expected it first)");
  }
  if (!extra.if_object()->empty()) message.extra_json = extra.dump();
  return message;
}

}  // namespace

void Conversation::begin_anew(std::string system) {
  messages_.clear();
  if (!system.empty()) add("system", std::move(system));
}

std::string Conversation::system() const {
  return first_turn() == 0 ? "" : messages_.front().content;
}

std::size_t Conversation::first_turn() const noexcept {
  return !messages_.empty() && messages_.front().role == "system" ? 1 : 0;
}

std::size_t Conversation::n_turns() const noexcept {
  return static_cast<std::size_t>(std::count_if(messages_.begin(), messages_.end(), is_user));
}

void Conversation::take_back() {
  if (!messages_.empty() && is_user(messages_.back())) messages_.pop_back();
}

bool Conversation::drop_oldest_turn() {
  if (n_turns() < 2) return false;
  const auto begin = messages_.begin() + static_cast<std::ptrdiff_t>(first_turn());
  // What stands before the first user's message goes with it.
  const auto first = std::find_if(begin, messages_.end(), is_user);
  messages_.erase(begin, std::find_if(first + 1, messages_.end(), is_user));
  return true;
}

base::Json Conversation::to_json() const { return base::messages_to_json(messages_); }

void Conversation::from_json(const base::Json& messages) {
  std::vector<Message> loaded;
  for (const base::Json& entry : messages.as_array("messages"))
    loaded.push_back(to_message(entry, loaded.size()));
  messages_ = std::move(loaded);
}

}  // namespace openllm::cli

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "openllm/error.h"
#include "openllm/outputs.h"

namespace openllm {

/// One turn of a conversation, as the OpenAI API knows it.
struct Message {
  /// "system", "user", "assistant", "tool", or another role that the chat template knows.
  std::string role{};
  /// Plain text.
  std::string content{};
  /// Further fields for the template as a JSON object (`tool_calls`, `name`, ...); empty: none. A
  /// `role` or `content` in it takes the place of the one above.
  std::string extra_json{};
};

/// The beginning of a request: a text, token ids, or messages that go through the chat template.
/// The conversions are implicit, so that each of them can be passed as a prompt, and ids and
/// messages in braces too: `llm.generate({1, 403, 407})`,
/// `llm.generate({{.role = "user", .content = "Hi"}})`.
class Prompt {
 public:
  Prompt(std::string text) : value_(std::move(text)) {}         // NOLINT(*-explicit-*)
  Prompt(std::string_view text) : value_(std::string(text)) {}  // NOLINT(*-explicit-*)
  /// Throws kInvalidArgument for a null pointer.
  Prompt(const char* text) : value_(not_null(text)) {}  // NOLINT(*-explicit-*)
  Prompt(std::vector<std::int32_t> token_ids)
      : value_(std::move(token_ids)) {}                                   // NOLINT(*-explicit-*)
  Prompt(std::vector<Message> messages) : value_(std::move(messages)) {}  // NOLINT(*-explicit-*)
  Prompt(std::initializer_list<std::int32_t> token_ids)
      : value_(std::vector<std::int32_t>(token_ids)) {}
  Prompt(std::initializer_list<Message> messages) : value_(std::vector<Message>(messages)) {}

  /// The text; null when the prompt is of another kind.
  const std::string* text() const noexcept { return std::get_if<std::string>(&value_); }
  /// The ids; null when the prompt is of another kind.
  const std::vector<std::int32_t>* token_ids() const noexcept {
    return std::get_if<std::vector<std::int32_t>>(&value_);
  }
  /// The conversation; null when the prompt is of another kind.
  const std::vector<Message>* messages() const noexcept {
    return std::get_if<std::vector<Message>>(&value_);
  }

 private:
  static std::string not_null(const char* text) {
    if (text == nullptr) {
      throw Error(ErrorCode::kInvalidArgument, "prompt: is a null pointer (expected a text)",
                  "prompt");
    }
    return text;
  }

  std::variant<std::string, std::vector<std::int32_t>, std::vector<Message>> value_;
};

}  // namespace openllm

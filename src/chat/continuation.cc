#include "chat/continuation.h"

#include <algorithm>

#include "base/error.h"
#include "chat/control_words.h"

namespace openllm::chat {
namespace {

constexpr const char* kField = "continue_final_message";
constexpr std::string_view kBlanks = " \t\r\n\v\f";

template <typename... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  base::fail_at(ErrorCode::kInvalidArgument, kField, parts...);
}

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

/// Where the text lies that goes on: the content, or the last of its parts that has a text.
base::Json* find_text(base::Json& message) {
  base::JsonObject* members = message.if_object();
  base::Json* content = members == nullptr ? nullptr : members->find("content");
  if (content == nullptr) return nullptr;
  if (content->if_string() != nullptr) return content;
  base::JsonArray* parts = content->if_array();
  if (parts == nullptr) return nullptr;
  for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
    base::JsonObject* object = part->if_object();
    base::Json* text = object == nullptr ? nullptr : object->find("text");
    if (text != nullptr && text->if_string() != nullptr) return text;
  }
  return nullptr;
}

}  // namespace

Continuation Continuation::put(std::string_view source, base::Json& context) {
  base::JsonArray* messages = context["messages"].if_array();
  base::Json* text =
      messages == nullptr || messages->empty() ? nullptr : find_text(messages->back());
  if (text == nullptr) refuse("the final message has no text to go on with");
  if (source.find("content") == std::string_view::npos)
    refuse("the chat template does not read the content of messages");
  Continuation continuation;
  continuation.tag_ = unused_character({context.dump(), source});
  if (continuation.tag_.empty())
    refuse("the messages hold every ideograph that could mark where the prompt ends");
  continuation.text_ = trim(*text->if_string());
  *text = *text->if_string() + continuation.tag_ + " ";
  return continuation;
}

void Continuation::cut(std::string& rendered) const {
  const std::size_t at = rendered.rfind(tag_);
  if (at == std::string::npos || rendered.find(text_) == std::string::npos) {
    refuse(
        "the chat template changes or leaves out the final message, so that the prompt cannot "
        "end inside it");
  }
  const bool keeps_space = rendered.compare(at + tag_.size(), 1, " ") == 0;
  rendered.resize(at);
  if (!keeps_space) rendered.resize(rendered.find_last_not_of(kBlanks) + 1);
  // A template may write the message more than once.
  for (std::size_t i = rendered.find(tag_); i != std::string::npos; i = rendered.find(tag_, i))
    rendered.erase(i, tag_.size() + (rendered.compare(i + tag_.size(), 1, " ") == 0 ? 1 : 0));
}

}  // namespace openllm::chat

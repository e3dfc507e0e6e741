#include "base/message_json.h"

#include <string_view>
#include <utility>

namespace openllm::base {

Json messages_to_json(const std::vector<Message>& messages) {
  constexpr std::string_view kExtra = "messages: extra_json";
  Json list = Json::array();
  for (const Message& message : messages) {
    Json entry = Json::object();
    entry["role"] = message.role;
    entry["content"] = message.content;
    if (!message.extra_json.empty()) {
      const Json extra = Json::parse(message.extra_json, kExtra);
      for (const auto& [key, value] : extra.as_object(kExtra)) entry[key] = value;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace openllm::base

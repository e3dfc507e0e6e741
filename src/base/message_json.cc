#include "base/message_json.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/json_setting.h"

namespace openllm::base {

Json messages_to_json(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& message : messages) {
    Json entry = Json::object();
    entry["role"] = message.role;
    entry["content"] = message.content;
    if (!message.extra_json.empty()) {
      const std::string where = cat("messages[", list.if_array()->size(), "].extra_json");
      const Json extra = parse_setting(message.extra_json, where);
      for (const auto& [key, value] : extra.as_object(where)) entry[key] = value;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace openllm::base

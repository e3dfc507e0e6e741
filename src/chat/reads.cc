#include "chat/reads.h"

#include <string>

#include "base/error.h"
#include "base/json.h"

namespace openllm::chat {
namespace {

bool says_nothing(const base::Json& value) {
  if (value.is_null()) return true;
  if (const bool* flag = value.if_bool()) return !*flag;
  if (const std::string* text = value.if_string()) return text->empty();
  if (const base::JsonArray* list = value.if_array()) return list->empty();
  const base::JsonObject* object = value.if_object();
  return object != nullptr && object->empty();
}

[[noreturn]] void refuse(std::string_view where, std::string_view name, std::string_view model) {
  base::fail_with(ErrorCode::kUnsupported, {where, ErrorReason::kUnsupportedField}, where,
                  ": unsupported (the chat template of ", model, " never reads ", name, ")");
}

void check_message(const jinja::Template& code, const Message& message, std::size_t index,
                   std::string_view model) {
  if (message.extra_json.empty()) return;
  const std::string where = base::cat("messages[", index, "].extra_json");
  const base::Json extra = base::Json::parse(message.extra_json, where);
  for (const auto& [name, value] : extra.as_object(where)) {
    const bool is_own = name == "role" || name == "content" || name == "tool_call_id";
    // Whose result it is, which the call before it says.
    const bool is_label = name == "name" && (message.role == "tool" || message.role == "function");
    if (is_own || is_label || says_nothing(value) || code.reads_in_messages(name)) continue;
    refuse(base::cat("messages[", index, "].", name), name, model);
  }
}

}  // namespace

void require_read(const jinja::Template& code, const std::vector<Message>& messages,
                  const GenerateOptions& options, std::string_view model) {
  if (!options.tools_json.empty() && !code.reads("tools") &&
      !says_nothing(base::Json::parse(options.tools_json, "tools_json"))) {
    refuse("tools_json", "tools", model);
  }
  if (!options.chat_template_json.empty()) {
    constexpr std::string_view kVariables = "chat_template_json";
    const base::Json variables = base::Json::parse(options.chat_template_json, kVariables);
    for (const auto& [name, value] : variables.as_object(kVariables)) {
      if (!value.is_null() && !code.reads(name))
        refuse(base::cat(kVariables, ".", name), name, model);
    }
  }
  for (std::size_t i = 0; i < messages.size(); ++i) check_message(code, messages[i], i, model);
}

}  // namespace openllm::chat

#include "chat/context.h"

#include "base/json_setting.h"
#include "base/message_json.h"

namespace openllm::chat {

base::Json request_context(const std::vector<Message>& messages, const GenerateOptions& options) {
  base::Json context = base::Json::object();
  if (!options.chat_template_json.empty()) {
    context = base::parse_setting(options.chat_template_json, "chat_template_json");
    context.as_object("chat_template_json");
  }
  context["messages"] = base::messages_to_json(messages);
  // transformers passes these two as None when absent, and templates test for that.
  for (const char* name : {"tools", "documents"}) {
    if (context.find(name) == nullptr) context[name] = base::Json();
  }
  if (!options.tools_json.empty()) {
    context["tools"] = base::parse_setting(options.tools_json, "tools_json");
    context["tools"].as_array("tools_json");
  }
  return context;
}

void add_model_context(base::Json& context, const GenerateOptions& options,
                       const base::Json& special_tokens) {
  context["add_generation_prompt"] = options.add_generation_prompt;
  for (const auto& [name, text] : special_tokens.as_object("special tokens")) {
    if (context.find(name) == nullptr) context[name] = text;
  }
}

}  // namespace openllm::chat

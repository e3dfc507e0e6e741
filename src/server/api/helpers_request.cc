#include "server/api/helpers_request.h"

#include "server/api/chat_request.h"
#include "server/api/fields.h"

namespace openllm::server {

HelpersRequest parse_helpers_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  for (const auto& [name, value] : *json.if_object()) {
    if (name != "model" && name != "messages" && name != "add_generation_prompt")
      body.fail_unknown(name);
  }
  HelpersRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  fields::UnknownNames unknown;
  request.messages = parse_messages(body, unknown);
  if (!unknown.empty()) body.fail_unknown(unknown.front());
  request.add_generation_prompt = body.boolean("add_generation_prompt").value_or(false);
  return request;
}

}  // namespace openllm::server

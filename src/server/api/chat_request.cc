#include "server/api/chat_request.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::server {
namespace {

constexpr std::size_t kMaxMessages = 16 * 1024;
/// Members of messages that say nothing to a model.
constexpr std::array<std::string_view, 3> kHarmless{"annotations", "cache_control",
                                                    "provider_specific_fields"};

bool is_harmless(std::string_view name) {
  return std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end();
}

/// Which roles there are is the business of the chat template.
std::string parse_role(const Fields& message) {
  const std::string* role = message.string("role");
  if (role == nullptr) message.fail_missing("role");
  if (role->empty()) message.fail_value("role", "a role", "an empty text");
  return *role;
}

/// The text of a string or of a list of text parts, which stand on lines of their own. Answers that
/// come back as history may also hold refusals.
std::string parse_content(const Fields& message, const base::Json& content, bool is_answer,
                          fields::UnknownNames& ignored) {
  if (const std::string* text = content.if_string()) return *text;
  const base::JsonArray* parts = content.if_array();
  if (parts == nullptr) message.fail_type("content", "string or array of parts", content);
  std::string joined;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string where = message.name_of(base::cat("content[", i, "]"));
    const Fields part((*parts)[i], where);
    const std::string* type = part.string("type");
    if (type == nullptr) part.fail_missing("type");
    const bool is_refusal = is_answer && *type == "refusal";
    if (*type != "text" && !is_refusal)
      part.fail_unsupported("type", base::cat("only text parts, got ", *type));
    const std::string* text = part.string(*type);
    if (text == nullptr) part.fail_missing(*type);
    fields::check_names((*parts)[i], fields::kChat, "content", where, ignored);
    if (i > 0) joined += '\n';
    joined += *text;
  }
  return joined;
}

/// Tool calls as templates want them: arguments are an object, not a JSON text.
base::Json parse_tool_calls(const Fields& message, const base::JsonArray& calls) {
  base::JsonArray result;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const std::string where = message.name_of(base::cat("tool_calls[", i, "]"));
    const Fields call(calls[i], where);
    const base::Json* function = call.object("function");
    if (function == nullptr) call.fail_missing("function");
    const Fields inner(*function, where + ".function");
    if (inner.string("name") == nullptr) inner.fail_missing("name");
    base::Json copy = calls[i];
    const base::Json* arguments = inner.find("arguments");
    if (const std::string* text = arguments == nullptr ? nullptr : arguments->if_string()) {
      copy["function"]["arguments"] = text->empty()
                                          ? base::Json::object()
                                          : base::Json::parse(*text, where + ".function.arguments");
    }
    result.push_back(std::move(copy));
  }
  return base::Json(std::move(result));
}

/// The members besides role and content, for the template.
base::Json parse_extra(const Fields& message, const base::JsonObject& members, bool has_refusal) {
  for (const std::string_view name : {"name", "tool_call_id", "reasoning_content"})
    (void)message.string(name);
  base::Json extra = base::Json::object();
  for (const auto& [name, value] : members) {
    const bool is_read = name == "role" || name == "content" || (has_refusal && name == "refusal");
    if (value.is_null() || is_read || is_harmless(name)) continue;
    extra[name] = value;
  }
  const base::JsonArray* calls = message.array("tool_calls");
  if (calls == nullptr) return extra;
  if (calls->empty()) {
    extra.if_object()->erase("tool_calls");
    return extra;
  }
  extra["tool_calls"] = parse_tool_calls(message, *calls);
  return extra;
}

Message parse_message(const base::Json& json, std::size_t index, fields::UnknownNames& ignored) {
  const Fields fields(json, base::cat("messages[", index, "]"));
  Message message;
  message.role = parse_role(fields);
  const bool is_answer = message.role == "assistant";
  const std::string* refusal = is_answer ? fields.string("refusal") : nullptr;
  const base::Json* content = fields.find("content");
  const bool is_refusal = content == nullptr && refusal != nullptr;
  if (content != nullptr) {
    message.content = parse_content(fields, *content, is_answer, ignored);
  } else if (is_refusal) {
    message.content = *refusal;
  } else if (!is_answer) {
    fields.fail_missing("content");
  }
  const base::Json extra = parse_extra(fields, *json.if_object(), is_refusal);
  if (!extra.if_object()->empty()) message.extra_json = extra.dump();
  return message;
}

}  // namespace

std::vector<Message> parse_messages(const Fields& body, fields::UnknownNames& ignored) {
  const base::JsonArray* list = body.array("messages");
  if (list == nullptr) body.fail_missing("messages");
  if (list->empty()) body.fail_value("messages", "at least one message", "an empty array");
  if (list->size() > kMaxMessages) {
    body.fail_value("messages", base::cat("at most ", kMaxMessages, " messages"),
                    std::to_string(list->size()));
  }
  std::vector<Message> messages;
  messages.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i)
    messages.push_back(parse_message((*list)[i], i, ignored));
  return messages;
}

namespace {

void parse_tools(const Fields& body, GenerateOptions& options) {
  const base::JsonArray* tools = body.array("tools");
  const base::Json* choice = body.find("tool_choice");
  const std::string* choice_name = choice == nullptr ? nullptr : choice->if_string();
  if (choice != nullptr &&
      (choice_name == nullptr || (*choice_name != "auto" && *choice_name != "none"))) {
    if (choice_name == nullptr && !choice->is_object())
      body.fail_type("tool_choice", "string or object", *choice);
    body.fail_unsupported("tool_choice", "only auto and none");
  }
  if (const base::Json* call = body.find("function_call")) {
    const std::string* name = call->if_string();
    if (name == nullptr || (*name != "auto" && *name != "none"))
      body.fail_unsupported("function_call", "only auto and none");
  }
  if (tools == nullptr || tools->empty()) return;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string where = base::cat("tools[", i, "]");
    const Fields tool((*tools)[i], where);
    const std::string* type = tool.string("type");
    if (type == nullptr) tool.fail_missing("type");
    if (*type != "function") tool.fail_unsupported("type", base::cat("only function, got ", *type));
    const base::Json* function = tool.object("function");
    if (function == nullptr) tool.fail_missing("function");
    const Fields inner(*function, where + ".function");
    if (inner.string("name") == nullptr) inner.fail_missing("name");
    if (inner.boolean("strict").value_or(false))
      inner.fail_unsupported("strict", "nothing makes calls fit their schemas");
  }
  if (choice_name == nullptr || *choice_name != "none")
    options.tools_json = base::Json(*tools).dump();
}

void parse_template_variables(const Fields& body, GenerateOptions& options) {
  const base::Json* given = body.object("chat_template_kwargs");
  base::Json variables = base::Json::object();
  if (given != nullptr) variables = *given;
  (void)body.array("documents");
  for (const std::string_view name : {"reasoning_effort", "documents"}) {
    const base::Json* value = body.find(name);
    if (value == nullptr) continue;
    const base::Json* other = variables.find(name);
    if (other != nullptr && !other->is_null()) {
      base::fail_at(ErrorCode::kInvalidArgument, name, "given twice (also in ",
                    "chat_template_kwargs)");
    }
    variables[name] = *value;
  }
  if (!variables.if_object()->empty()) options.chat_template_json = variables.dump();
  if (body.boolean("add_special_tokens").value_or(false))
    body.fail_unsupported("add_special_tokens", "the chat template has them");
}

void parse_length_and_logprobs(const Fields& body, GenerateOptions& options) {
  // OpenAI's newer name; it wins over max_tokens.
  const auto length = body.integer("max_completion_tokens", -1, std::numeric_limits<int>::max());
  if (length) options.max_new_tokens = static_cast<int>(*length);
  const std::optional<bool> given = body.boolean("logprobs");
  const bool logprobs = given.value_or(false);
  const auto top = body.integer("top_logprobs", 0, kMaxLogprobs);
  if (top && !logprobs && *top > 0)
    body.fail_value("top_logprobs", "logprobs to be true", "logprobs false");
  if (logprobs) options.logprobs = static_cast<int>(top.value_or(0));
  if (given && !logprobs) fields::clear(*fields::find("logprobs"), options);
}

}  // namespace

ChatRequest parse_chat_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  ChatRequest request;
  static_cast<CommonRequest&>(request) = parse_common(json, fields::kChat);
  request.messages = parse_messages(body, request.ignored);
  parse_tools(body, request.options);
  parse_template_variables(body, request.options);
  parse_length_and_logprobs(body, request.options);
  return request;
}

}  // namespace openllm::server

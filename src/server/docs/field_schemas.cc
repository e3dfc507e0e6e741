#include "server/docs/field_schemas.h"

#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "fields/field.h"

namespace openllm::server {
namespace {

using base::Json;
using fields::Type;

Json typed(const char* type) {
  Json schema = Json::object();
  schema["type"] = type;
  return schema;
}

Json list_of(Json items) {
  Json schema = typed("array");
  schema["items"] = std::move(items);
  return schema;
}

Json one_of(Json first, Json second) {
  Json schema = Json::object();
  schema["anyOf"] = Json::array();
  schema["anyOf"].push_back(std::move(first));
  schema["anyOf"].push_back(std::move(second));
  return schema;
}

Json schema_of(Type type) {
  switch (type) {
    case Type::kBoolean:
      return typed("boolean");
    case Type::kInteger:
    case Type::kSeed:
      return typed("integer");
    case Type::kNumber:
    case Type::kSeconds:
      return typed("number");
    case Type::kText:
      return typed("string");
    case Type::kJson:
      return Json::object();
    case Type::kTexts:
      return one_of(typed("string"), list_of(typed("string")));
    case Type::kTokenIds:
      return list_of(typed("integer"));
    case Type::kTokenIdOrIds:
      return one_of(typed("integer"), list_of(typed("integer")));
    case Type::kTokenLists:
      return list_of(list_of(typed("integer")));
    case Type::kListNumbers:
      return list_of(list_of(one_of(list_of(typed("integer")), typed("number"))));
    case Type::kEarlyStopping:
      return one_of(typed("boolean"), typed("string"));
    case Type::kLengthDecay:
      return list_of(typed("number"));
    case Type::kTokenNumbers: {
      Json schema = typed("object");
      schema["additionalProperties"] = typed("number");
      return schema;
    }
  }
  return Json::object();
}

bool is_number(Type type) {
  return type == Type::kInteger || type == Type::kNumber || type == Type::kSeconds;
}

Json number_of(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return {static_cast<std::int64_t>(value)};
  return {value};
}

void add_range(Json& schema, const fields::Range& range) {
  if (std::isfinite(range.min))
    schema[range.is_above_min ? "exclusiveMinimum" : "minimum"] = number_of(range.min);
  if (std::isfinite(range.max)) schema["maximum"] = number_of(range.max);
}

/// The schema of a field; null, which is as good as absent, is allowed besides.
Json schema_of(const fields::Field& field, fields::Way way) {
  Json schema = schema_of(field.type);
  if (is_number(field.type)) {
    const bool is_openai = (way & fields::kOpenAI) != 0 && field.openai_range;
    add_range(schema, is_openai ? *field.openai_range : field.range);
  }
  schema = one_of(std::move(schema), typed("null"));
  schema["description"] = std::string(field.help);
  return schema;
}

Json message_schema() {
  Json schema = typed("object");
  schema["properties"] = Json::object();
  schema["properties"]["role"] = typed("string");
  schema["properties"]["content"] = one_of(typed("string"), list_of(typed("object")));
  schema["required"] = Json::array();
  schema["required"].push_back("role");
  return schema;
}

/// Of the members that are read by hand, those that are more than a flag or a text.
Json schema_of(const fields::BodyMember& member) {
  const std::string_view name = member.name;
  const bool is_flag = name == "stream" || name == "echo" || name.starts_with("return_");
  Json schema = is_flag ? typed("boolean") : Json::object();
  if (name == "model") schema = typed("string");
  if (name == "messages") schema = list_of(message_schema());
  if (name == "prompt_token_ids") schema = list_of(typed("integer"));
  if (name == "prompt")
    schema = one_of(typed("string"), list_of(one_of(typed("string"), typed("integer"))));
  if (name == "stream_options" || name == "response_format" || name == "llm_config")
    schema = typed("object");
  schema["description"] = std::string(member.help);
  return schema;
}

Json properties_of(fields::Way way) {
  Json properties = Json::object();
  for (const fields::BodyMember& member : fields::body_members()) {
    const bool is_inner = member.name.find('.') != std::string_view::npos;
    if ((member.ways & way) != 0 && !is_inner) properties[member.name] = schema_of(member);
  }
  for (const fields::Field& field : fields::all()) {
    if (((field.ways | field.by_hand) & way) == 0) continue;
    const bool is_openai = (way & fields::kOpenAI) != 0 && !field.openai.empty();
    properties[is_openai ? field.openai : field.name] = schema_of(field, way);
  }
  return properties;
}

void write_members(detail::SchemaWriter& out, const Json& schema) {
  for (const auto& [key, value] : *schema.if_object()) {
    out.key(key);
    out.json(value.dump());
  }
}

void write_body(detail::SchemaWriter& out, std::string_view name, fields::Way way,
                const char* required) {
  // The text of the name tells these structs apart: each has one.
  if (!out.begin_type(name, name.data())) return;
  Json schema = typed("object");
  schema["properties"] = properties_of(way);
  if (required != nullptr) {
    schema["required"] = Json::array();
    schema["required"].push_back(required);
  }
  write_members(out, schema);
  out.end_type();
}

/// Bodies whose members no table has: all but the required ones may be null.
void write_members_of(detail::SchemaWriter& out, std::string_view name,
                      std::initializer_list<std::pair<const char*, Json>> members,
                      std::initializer_list<const char*> required) {
  if (!out.begin_type(name, name.data())) return;
  Json schema = typed("object");
  schema["properties"] = Json::object();
  for (const auto& [member, type] : members) schema["properties"][member] = type;
  for (const char* member : {"model", "user", "request_id", "prompt_name", "adapter_name"})
    schema["properties"][member] = one_of(typed("string"), typed("null"));
  for (const char* member : {"priority", "truncate_prompt_tokens"})
    schema["properties"][member] = one_of(typed("integer"), typed("null"));
  schema["properties"]["timeout"] = one_of(typed("number"), typed("null"));
  schema["properties"]["truncate"] = one_of(typed("boolean"), typed("null"));
  schema["required"] = Json::array();
  for (const char* member : required) schema["required"].push_back(member);
  write_members(out, schema);
  out.end_type();
}

Json texts_schema() { return one_of(typed("string"), list_of(typed("string"))); }

}  // namespace

void write_embedding_request_schema(detail::SchemaWriter& out) {
  const Json ids = list_of(typed("integer"));
  write_members_of(out, "EmbeddingRequest",
                   {{"input", one_of(texts_schema(), one_of(ids, list_of(ids)))},
                    {"encoding_format", one_of(typed("string"), typed("null"))},
                    {"dimensions", one_of(typed("integer"), typed("null"))},
                    {"normalize", one_of(typed("boolean"), typed("null"))},
                    {"pooling", one_of(typed("string"), typed("null"))},
                    {"prompt", one_of(typed("string"), typed("null"))},
                    {"add_special_tokens", one_of(typed("boolean"), typed("null"))}},
                   {"input"});
}

void write_score_request_schema(detail::SchemaWriter& out) {
  write_members_of(out, "ScoreRequest",
                   {{"text_1", texts_schema()},
                    {"text_2", texts_schema()},
                    {"queries", texts_schema()},
                    {"documents", texts_schema()}},
                   {});
}

void write_rerank_request_schema(detail::SchemaWriter& out) {
  write_members_of(out, "RerankRequest",
                   {{"query", typed("string")},
                    {"documents", texts_schema()},
                    {"top_n", one_of(typed("integer"), typed("null"))},
                    {"return_documents", one_of(typed("boolean"), typed("null"))}},
                   {"query", "documents"});
}

void write_completion_request_schema(detail::SchemaWriter& out) {
  write_body(out, "CompletionRequest", fields::kCompletions, nullptr);
}

void write_chat_request_schema(detail::SchemaWriter& out) {
  write_body(out, "ChatCompletionRequest", fields::kChat, "messages");
}

void write_native_request_schema(detail::SchemaWriter& out) {
  write_body(out, "GenerationInput", fields::kNative, nullptr);
}

void write_object_schema(detail::SchemaWriter& out) { write_members(out, typed("object")); }

void write_text_schema(detail::SchemaWriter& out) { write_members(out, typed("string")); }

}  // namespace openllm::server

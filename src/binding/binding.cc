#include "openllm/binding.h"

#include "base/json.h"
#include "base/message_json.h"
#include "binding/json_value_reader.h"
#include "binding/json_value_writer.h"
#include "binding/schema_writer.h"

namespace openllm::detail {

ValueReader::~ValueReader() = default;
ValueWriter::~ValueWriter() = default;

void Binding<Message>::read(ValueReader& in, Message& value) {
  base::Json extra = base::Json::object();
  in.enter_member("role", true);
  value.role = in.as_text();
  in.leave();
  for (const std::string& key : in.keys()) {
    in.enter_member(key, true);
    if (key == "content") {
      value.content = in.is_null() ? "" : in.as_text();
    } else if (key != "role") {
      extra[key] = base::Json::parse(in.as_json(), key);
    }
    in.leave();
  }
  value.extra_json = extra.if_object()->empty() ? "" : extra.dump();
}

void Binding<Message>::write(ValueWriter& out, const Message& value) {
  const base::Json message = base::messages_to_json({value});
  out.json(message.if_array()->front().dump());
}

void Binding<Message>::schema(SchemaWriter& out) {
  static constexpr char kId = 0;
  if (!out.begin_type("Message", &kId)) return;
  out.key("type");
  out.text("object");
  out.key("properties");
  out.json(R"({"role":{"type":"string"},"content":{"anyOf":[{"type":"string"},{"type":"null"}]}})");
  out.key("required");
  out.json(R"(["role"])");
  out.end_type();
}

std::unique_ptr<ValueReader> read_json(std::string_view text, std::string_view where) {
  return std::make_unique<binding::JsonValueReader>(base::Json::parse_unique(text, where), where);
}

std::unique_ptr<ValueWriter> write_json(std::string& out) {
  return std::make_unique<binding::JsonValueWriter>(out);
}

std::string json_schema_of(void (*describe)(SchemaWriter&)) {
  binding::SchemaTextWriter writer("#/$defs/");
  std::string schema = writer.write(describe);
  if (!writer.has_definitions()) return schema;
  schema.pop_back();
  return schema + (schema.size() > 1 ? "," : "") + "\"$defs\":" + writer.definitions() + "}";
}

}  // namespace openllm::detail

#include "tokenizer/files/json_components.h"

namespace openllm::tokenizer {

base::Json component(const char* type) {
  base::Json json = base::Json::object();
  json["type"] = type;
  return json;
}

base::Json replace_regex(const char* pattern, const char* content) {
  base::Json json = component("Replace");
  json["pattern"]["Regex"] = pattern;
  json["content"] = content;
  return json;
}

base::Json sequence(const char* member, std::initializer_list<base::Json> parts) {
  base::Json json = component("Sequence");
  json[member] = base::Json::array();
  for (const base::Json& part : parts) json[member].push_back(part);
  return json;
}

base::Json metaspace() {
  base::Json json = component("Metaspace");
  json["replacement"] = "\xE2\x96\x81";
  json["prepend_scheme"] = "always";
  json["split"] = true;
  return json;
}

base::Json special_token(std::string_view content, std::int64_t id, bool lstrip) {
  base::Json json = base::Json::object();
  json["id"] = id;
  json["content"] = content;
  json["special"] = true;
  json["lstrip"] = lstrip;
  return json;
}

}  // namespace openllm::tokenizer

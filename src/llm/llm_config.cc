#include "llm/llm_config.h"

#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace openllm::llm {
namespace {

int to_int(const base::Json& value, const std::string& where) {
  const std::int64_t number = value.as_int(where);
  if (number < INT32_MIN || number > INT32_MAX) {
    base::fail(ErrorCode::kInvalidArgument, where, ": out of range (got ", number, ")");
  }
  return static_cast<int>(number);
}

std::vector<std::int32_t> to_ids(const base::Json& value, const std::string& where) {
  if (!value.is_array()) return {to_int(value, where)};
  std::vector<std::int32_t> ids;
  for (const base::Json& item : value.as_array(where)) ids.push_back(to_int(item, where));
  return ids;
}

struct Field {
  const char* name;
  void (*set)(LLMConfig&, const base::Json&, const std::string& where);
};

constexpr Field kFields[] = {
    {"max_new_tokens", [](LLMConfig& c, const base::Json& v,
                          const std::string& w) { c.max_new_tokens = to_int(v, w); }},
    {"min_new_tokens", [](LLMConfig& c, const base::Json& v,
                          const std::string& w) { c.min_new_tokens = to_int(v, w); }},
    {"temperature",
     [](LLMConfig& c, const base::Json& v, const std::string& w) {
       c.temperature = static_cast<float>(v.as_double(w));
     }},
    {"top_k",
     [](LLMConfig& c, const base::Json& v, const std::string& w) { c.top_k = to_int(v, w); }},
    {"top_p", [](LLMConfig& c, const base::Json& v,
                 const std::string& w) { c.top_p = static_cast<float>(v.as_double(w)); }},
    {"min_p", [](LLMConfig& c, const base::Json& v,
                 const std::string& w) { c.min_p = static_cast<float>(v.as_double(w)); }},
    {"repetition_penalty",
     [](LLMConfig& c, const base::Json& v, const std::string& w) {
       c.repetition_penalty = static_cast<float>(v.as_double(w));
     }},
    {"presence_penalty",
     [](LLMConfig& c, const base::Json& v, const std::string& w) {
       c.presence_penalty = static_cast<float>(v.as_double(w));
     }},
    {"frequency_penalty",
     [](LLMConfig& c, const base::Json& v, const std::string& w) {
       c.frequency_penalty = static_cast<float>(v.as_double(w));
     }},
    {"eos_token_id", [](LLMConfig& c, const base::Json& v,
                        const std::string& w) { c.eos_token_ids = to_ids(v, w); }},
};

void require(bool holds, std::string_view where, const char* field, const char* expected,
             double got) {
  if (!holds) {
    base::fail(ErrorCode::kInvalidArgument, where, ": ", field, ": out of range (expected ",
               expected, ", got ", got, ")");
  }
}

}  // namespace

void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where) {
  if (json.is_null()) return;
  json.as_object(where);
  for (const Field& field : kFields) {
    const base::Json* value = json.find(field.name);
    if (value != nullptr && !value->is_null())
      field.set(config, *value, base::cat(where, ": ", field.name));
  }
  const base::Json* do_sample = json.find("do_sample");
  if (do_sample != nullptr && do_sample->if_bool() != nullptr && !*do_sample->if_bool())
    config.temperature = 0.0F;
}

void apply_config_environment(LLMConfig& config) {
  const char* whole = std::getenv("OPENLLM_CONFIG");
  if (whole != nullptr && *whole != '\0') {
    apply_config_json(config, base::Json::parse(whole, "OPENLLM_CONFIG"), "OPENLLM_CONFIG");
  }
  for (const Field& field : kFields) {
    std::string name = "OPENLLM_GENERATION_";
    for (const char* c = field.name; *c != '\0'; ++c) {
      name += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
    }
    const char* value = std::getenv(name.c_str());
    if (value != nullptr && *value != '\0') field.set(config, base::Json::parse(value, name), name);
  }
}

void check_config(const LLMConfig& c, std::string_view where) {
  require(c.max_new_tokens >= 0, where, "max_new_tokens", ">= 0", c.max_new_tokens);
  require(c.min_new_tokens >= 0, where, "min_new_tokens", ">= 0", c.min_new_tokens);
  require(std::isfinite(c.temperature) && c.temperature >= 0.0F, where, "temperature", ">= 0",
          static_cast<double>(c.temperature));
  require(c.top_p >= 0.0F && c.top_p <= 1.0F, where, "top_p", "0 to 1",
          static_cast<double>(c.top_p));
  require(c.min_p >= 0.0F && c.min_p <= 1.0F, where, "min_p", "0 to 1",
          static_cast<double>(c.min_p));
  require(std::isfinite(c.repetition_penalty) && c.repetition_penalty > 0.0F, where,
          "repetition_penalty", "> 0", static_cast<double>(c.repetition_penalty));
  require(std::isfinite(c.presence_penalty), where, "presence_penalty", "a finite number",
          static_cast<double>(c.presence_penalty));
  require(std::isfinite(c.frequency_penalty), where, "frequency_penalty", "a finite number",
          static_cast<double>(c.frequency_penalty));
}

}  // namespace openllm::llm

#include "client/metadata.h"

#include "base/error.h"
#include "client/server_error.h"
#include "fields/access.h"

namespace openllm::client {
namespace {

constexpr std::string_view kGeneration = "generation_config";

const std::string& text_of(const base::Json& answer, std::string_view name) {
  const base::Json* value = answer.find(name);
  if (value == nullptr) base::fail(ErrorCode::kIo, kAnswer, ": has no ", name);
  return value->as_string(name);
}

/// A default of requests, which servers write in an object of its own or beside it.
const base::Json* default_of(const base::Json& configuration, std::string_view name) {
  const base::Json* inner = configuration.find(kGeneration);
  const base::Json* value = inner == nullptr ? nullptr : inner->find(name);
  return value != nullptr ? value : configuration.find(name);
}

LLMConfig config_of(const base::Json& configuration) {
  LLMConfig config;
  for (const fields::Field& field : fields::all()) {
    if (!fields::has_config(field)) continue;
    const base::Json* value = default_of(configuration, field.name);
    if (value != nullptr && !value->is_null()) fields::set(field, config, *value, field.name);
  }
  return config;
}

}  // namespace

MetadataAnswer::MetadataAnswer(std::string_view text) : answer_(parse_answer(text)) {
  read_answer([&] {
    fields_.model_id = text_of(answer_, "model_id");
    fields_.model_name = text_of(answer_, "model_name");
    fields_.backend = text_of(answer_, "backend");
    const base::Json* timeout = answer_.find("timeout");
    if (timeout != nullptr && !timeout->is_null()) fields_.timeout = timeout->as_int("timeout");
    fields_.configuration_json = text_of(answer_, "configuration");
    configuration_ = base::Json::parse(fields_.configuration_json, "configuration");
    (void)configuration_.as_object("configuration");
    fields_.configuration = config_of(configuration_);
  });
}

const base::Json* MetadataAnswer::find(std::string_view name) const {
  if (const base::Json* value = answer_.find(name)) return value;
  if (const base::Json* value = default_of(configuration_, name)) return value;
  const fields::Field* field = fields::find(name);
  return field == nullptr ? nullptr : default_of(configuration_, field->name);
}

std::string MetadataAnswer::item(std::string_view name) const {
  const base::Json* value = find(name);
  if (value == nullptr) {
    base::fail_with(ErrorCode::kInvalidArgument, {name, ErrorReason::kUnknownField}, name,
                    ": neither the server's metadata nor its configuration has that",
                    fields::did_you_mean(name));
  }
  const std::string* text = value->if_string();
  return text != nullptr ? *text : value->dump();
}

}  // namespace openllm::client

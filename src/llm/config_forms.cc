// LLMConfig, and the forms that it takes: transformers' and vLLM's structs, JSON, options of a
// backend.

#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/json_setting.h"
#include "fields/access.h"
#include "fields/body.h"
#include "llm/greedy.h"
#include "llm/llm_config.h"
#include "openllm/options.h"

namespace openllm {
namespace {

constexpr const char* kGenerationConfig = "generation_config";

/// Throws for a value that this version cannot honour.
template <typename Struct>
void require_honoured(const Struct& given) {
  for (const fields::AbsentField& field : fields::absent()) {
    const base::Json value = fields::get(field, given);
    if (value.is_null() || fields::is_neutral(field, value)) continue;
    base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField},
                    field.name, ": unsupported (expected ", field.neutral, ", got ", value.dump(),
                    ")");
  }
}

template <typename Struct>
GenerateOptions request_of(const Struct& given) {
  require_honoured(given);
  GenerateOptions options;
  fields::assign(options, given);
  fields::check(options);
  return options;
}

/// `over` over `config`. Where one of them has been put together from layers already,
/// max_new_tokens beside max_length is a default that stands back, not somebody's wish.
LLMConfig merged(LLMConfig config, const LLMConfig& over) {
  fields::merge(config, over);
  if (over.max_length) config.max_length = over.max_length;
  if (over.min_length) config.min_length = over.min_length;
  return config;
}

/// A value with which a backend that lacks the field does what is asked.
bool is_off(const fields::Field& field, const base::Json& value) {
  return value.is_null() || value == fields::get(field, fields::initial_config());
}

/// What each backend's options are called, and which it has.
struct Naming {
  std::string_view (*name)(const fields::Field&) noexcept = nullptr;
  bool is_vllm = false;
};

std::string_view own_name(const fields::Field& field) noexcept { return field.name; }

Naming naming_of(const std::string& backend) {
  if (backend == "native") return {own_name, false};
  if (backend == "vllm") return {fields::openai_name, true};
  if (backend == "pt") return {fields::transformers_name, false};
  base::fail_at(ErrorCode::kNotFound, "backend",
                "unknown backend (expected one of vllm, native, pt; got ", backend, ")");
}

}  // namespace

LLMConfig LLMConfig::model_construct_env(std::string_view attrs_json) {
  constexpr const char* kPlace = "attrs_json";
  return merged(llm::environment_config(),
                llm::config_of(base::parse_setting(attrs_json, kPlace), kPlace));
}

LLMConfig LLMConfig::resolved() const {
  LLMConfig config = merged(fields::initial_config(), *this);
  config.cleared.clear();
  return config;
}

GenerationConfig LLMConfig::to_generation_config() const {
  GenerationConfig generation;
  fields::assign(generation, resolved());
  if (min_length) generation.min_new_tokens.reset();
  return generation;
}

SamplingParams LLMConfig::to_sampling_config() const {
  SamplingParams params;
  LLMConfig all = resolved();
  llm::make_greedy_plain(all);
  fields::assign(params, all);
  return params;
}

std::string LLMConfig::inference_options(const std::string& backend) const {
  const Naming naming = naming_of(backend);
  LLMConfig all = resolved();
  llm::make_greedy_plain(all);
  base::Json result = base::Json::object();
  for (const fields::Field& field : fields::all()) {
    base::Json value = fields::get(field, all);
    if (value.is_null() || !fields::has_config(field)) continue;
    if (naming.is_vllm && field.at_vllm != fields::AtVllm::kSent) {
      if (field.at_vllm == fields::AtVllm::kAbove || is_off(field, value)) continue;
      base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField},
                      field.name, ": the backend vllm does not have it (got ", value.dump(), ")");
    }
    result[naming.name(field)] = std::move(value);
  }
  return result.dump();
}

std::string LLMConfig::model_dump_json(bool flatten) const {
  base::Json json = base::Json::object();
  if (!flatten) json[kGenerationConfig] = base::Json::object();
  for (const fields::Field& field : fields::all()) {
    base::Json value = fields::get(field, *this);
    if (value.is_null()) continue;
    if (flatten || !fields::has_generation(field)) {
      json[field.name] = std::move(value);
    } else {
      json[kGenerationConfig][fields::transformers_name(field)] = std::move(value);
    }
  }
  return json.dump();
}

std::string LLMConfig::operator[](std::string_view name) const {
  const fields::Field* field = fields::find(name);
  if (field != nullptr && fields::has_config(*field)) return fields::get(*field, resolved()).dump();
  const fields::AbsentField* absent = fields::find_absent(name);
  if (absent != nullptr && absent->is_option && !absent->neutral.empty())
    return std::string(absent->neutral);
  base::fail_with(ErrorCode::kInvalidArgument, {name, ErrorReason::kUnknownField}, name,
                  ": no configuration has this field", fields::did_you_mean(name));
}

GenerateOptions GenerateOptions::from(const GenerationConfig& config) {
  GenerateOptions options = request_of(config);
  if (config.max_length) options.max_new_tokens.reset();
  if (config.min_new_tokens || config.min_length == 0) {
    options.min_length.reset();
    options.min_new_tokens = config.min_new_tokens.value_or(0);
  }
  // The struct's own top_k is for answers that are drawn.
  const bool is_search = options.num_beams.value_or(1) > 1;
  if (is_search && options.top_k == GenerationConfig{}.top_k) options.top_k.reset();
  return options;
}

GenerateOptions GenerateOptions::from(const SamplingParams& params) {
  GenerateOptions options = request_of(params);
  if (params.max_length) options.max_new_tokens.reset();
  if (params.min_length) options.min_new_tokens.reset();
  return options;
}

}  // namespace openllm

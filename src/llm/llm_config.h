#pragma once

#include <string_view>

#include "base/json.h"
#include "openllm/options.h"

namespace openllm::llm {

/// The layers below a request, lowest first. Each overrides those before it, field by field.
struct ConfigLayers {
  LLMConfig family{};       ///< Of the model's family.
  LLMConfig model{};        ///< generation_config.json, or metadata of a GGUF file.
  LLMConfig environment{};  ///< environment_config().
  LLMConfig load{};         ///< LoadOptions::config.
};

/// Every field set, from the highest layer that has it, else from the table of fields. Only
/// eos_token_ids may stay empty.
LLMConfig resolve_config(const ConfigLayers& layers);

/// Sets the fields of `config` that a model's file has. Unknown names are ignored
/// (generation_config.json has many); null leaves a field as it is. `where` begins the messages.
/// Throws kInvalidArgument for wrong types or values.
void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where);

/// OPENLLM_CONFIG (a JSON object), over it OPENLLM_GENERATION_<FIELD>, over it
/// OPENLLM_SAMPLING_<FIELD>. Throws kInvalidArgument for wrong values and, with the nearest name,
/// for fields that do not exist; kUnsupported for fields that cannot be honoured.
LLMConfig environment_config();

/// Throws kInvalidArgument naming the field. `where` begins the message, unless it is empty.
void check_config(const LLMConfig& config, std::string_view where);

}  // namespace openllm::llm

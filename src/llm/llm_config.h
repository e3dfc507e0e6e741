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

/// Every field that the table has a default for, from the highest layer that has it, else that
/// default; lists and the lengths that count the prompt may stay unset.
LLMConfig resolve_config(const ConfigLayers& layers);

/// Sets the fields of `config` that a model's file has. Unknown names are ignored
/// (generation_config.json has many), and so are fields that no model's file has; null leaves a
/// field as it is. Of max_length and max_new_tokens, which some files have both, the latter counts,
/// as in transformers. `where` begins the messages. Throws kInvalidArgument for wrong types or
/// values.
void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where);

/// OPENLLM_CONFIG (a JSON object), over it OPENLLM_GENERATION_<FIELD>, over it
/// OPENLLM_SAMPLING_<FIELD>. Throws kInvalidArgument for wrong values and, with the nearest name,
/// for fields that do not exist; kUnsupported for fields that cannot be honoured.
LLMConfig environment_config();

/// The fields in a program's JSON object: members by any of their names, or in `generation_config`,
/// `sampling_config` and `llm_config`. Throws as `environment_config`. `place` begins the messages.
LLMConfig config_of(const base::Json& object, std::string_view place);

/// Throws kInvalidArgument naming the field. `where` begins the message, unless it is empty.
void check_config(const LLMConfig& config, std::string_view where);

}  // namespace openllm::llm

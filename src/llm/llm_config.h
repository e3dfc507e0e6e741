#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/options.h"

namespace openllm::llm {

/// Sets the fields of `config` that `json` has. Unknown names are ignored (generation_config.json
/// has many); null leaves a field as it is. `where` begins the messages. Throws kInvalidArgument
/// for wrong types or values.
void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where);
/// OPENLLM_CONFIG (a JSON object), then OPENLLM_GENERATION_<FIELD> in capitals.
void apply_config_environment(LLMConfig& config);
/// Throws kInvalidArgument naming the field.
void check_config(const LLMConfig& config, std::string_view where);

}  // namespace openllm::llm

#pragma once

#include <openllm/options.h>

#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/options.h"

namespace openllm::cli {

// Fields of the requests of a chat, by the names that options have: "temperature", "top-p".

/// Sets a field from a text: JSON, or for texts the text itself; "default" sets it back. Returns
/// the field's name. Throws kInvalidArgument for a name that no field has, a value that the field
/// cannot have, and for what a chat could only ignore (several answers, logprobs); then nothing has
/// changed.
std::string set_field(GenerateOptions& options, Asked asked, const std::string& name,
                      const std::string& text);
/// Sets a field of a single request from "name=value", with the same values. Returns the option of
/// that field ("--top-p"). Throws kInvalidArgument as `set_field`, kUnsupported for a field that
/// this version cannot honour, unless the value asks for what happens anyway.
std::string apply_setting(GenerateOptions& options, Asked asked, const std::string& setting);
/// The fields that are not at their defaults, as a JSON object.
base::Json fields_to_json(const GenerateOptions& options);
/// Sets the members of such an object, and all other fields back. Throws as `set_field`.
void fields_from_json(GenerateOptions& options, Asked asked, const base::Json& object);
/// Throws kInvalidArgument for options that a chat could only ignore.
void check_for_chat(const GenerateOptions& options);

}  // namespace openllm::cli

#pragma once

#include <string_view>

#include "base/json.h"
#include "fields/field.h"

// The members that rows name: as JSON, checked, and from one layer of the configuration to the
// next.
namespace openllm::fields {

/// Null while the member is unset, or if the row has none.
base::Json get(const Field& field, const GenerateOptions& options);
base::Json get(const Field& field, const LLMConfig& config);

/// Sets the member. `where` names the value in errors, which are kInvalidArgument. The row must
/// have that member.
void set(const Field& field, GenerateOptions& options, const base::Json& value,
         std::string_view where, const Range& range);
void set(const Field& field, LLMConfig& config, const base::Json& value, std::string_view where);

bool has_request(const Field& field) noexcept;
bool has_config(const Field& field) noexcept;

/// Throws kInvalidArgument for a value that is out of its row's range. `where` stands before the
/// field's name; it may be empty.
void check(const LLMConfig& config, std::string_view where);
void check(const GenerateOptions& options);

/// Each field that `over` sets takes the place of the one in `config`.
void merge(LLMConfig& config, const LLMConfig& over);
void merge(LLMConfig& config, const GenerateOptions& over);
/// The values of the table, which every other layer overrides.
LLMConfig initial_config();

}  // namespace openllm::fields

#pragma once

#include <string_view>

#include "base/json.h"
#include "fields/field.h"
#include "fields/values.h"

// The members that rows name: as JSON, checked, and from one layer of the configuration to the
// next.
namespace openllm::fields {

/// Null while the member is unset, or if the row has none. Where the field is cleared: `none_of`,
/// or the value that it has without any configuration.
base::Json get(const Field& field, const GenerateOptions& options);
base::Json get(const Field& field, const LLMConfig& config);
base::Json get(const AbsentField& field, const GenerationConfig& config);
base::Json get(const AbsentField& field, const SamplingParams& params);

/// The value by which a layer takes back what those below it say: an empty list or object, else
/// `false`. Null for a field that has a value always.
base::Json none_of(const Field& field);
/// Unsets the member and takes back what the layers below say.
void clear(const Field& field, GenerateOptions& options);
void clear(const Field& field, LLMConfig& config);

/// Sets the member, or clears it by `none_of`. `where` names the value in errors, which are
/// kInvalidArgument. The row must have that member. `texts`: for numbers of tokens that are named
/// by their text; null: refused.
void set(const Field& field, GenerateOptions& options, const base::Json& value,
         std::string_view where, const Range& range, TextNumbers* texts = nullptr);
void set(const Field& field, LLMConfig& config, const base::Json& value, std::string_view where);

bool has_request(const Field& field) noexcept;
bool has_config(const Field& field) noexcept;
bool has_generation(const Field& field) noexcept;

/// Throws kInvalidArgument for a value that is out of its row's range, and as `check_one_way`.
/// `where` stands before the field's name; it may be empty.
void check(const LLMConfig& config, std::string_view where);
/// Throws kInvalidArgument where one layer says the same in two ways (max_length beside
/// max_new_tokens).
void check_one_way(const LLMConfig& config, std::string_view where);
/// Leaves the first of the two where one layer says the same in two ways.
void keep_one_way(LLMConfig& config);
void check(const GenerateOptions& options);
/// Throws kInvalidArgument for a field that only messages have, set beside another prompt.
void check_without_messages(const GenerateOptions& options);

/// The members that are set, by the names of their rows.
base::Json to_json(const LLMConfig& config);

/// Each field that `over` sets takes the place of the one in `config`, and what it clears is as the
/// table has it.
void merge(LLMConfig& config, const LLMConfig& over);
void merge(LLMConfig& config, const GenerateOptions& over);
/// The values of the table, which every other layer overrides.
LLMConfig initial_config();

/// Each field that both have, from the one to the other; what is unset leaves `to` as it is.
void assign(GenerationConfig& to, const LLMConfig& from);
void assign(SamplingParams& to, const LLMConfig& from);
void assign(GenerateOptions& to, const GenerationConfig& from);
void assign(GenerateOptions& to, const SamplingParams& from);

}  // namespace openllm::fields

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "fields/field.h"
#include "fields/values.h"

// Bodies of HTTP requests: what servers read and clients write.
namespace openllm::fields {

/// Names of members that no table has, with the path to each; they change nothing.
using UnknownNames = std::vector<std::string>;

/// Reads the fields that `way` takes from a body, which must be an object, but for those that the
/// way reads by hand. Null members count as absent. Throws kInvalidArgument for wrong values, for
/// two names of one field and for a name that is nearly that of a known one; kUnsupported for what
/// `way` does not take, unless its value asks for what happens anyway. Names that are like no known
/// one are returned. `texts` gets the numbers of logit_bias that are for texts, which only a
/// tokenizer makes tokens of; null: they are refused.
UnknownNames read_body(const base::Json& body, Way way, GenerateOptions& options,
                       TextNumbers* texts = nullptr);

/// Names in an object within a body, by the same rules. `scope` is the object's name in the tables:
/// "stream_options". Other unknown names are appended to `unknown`.
void check_names(const base::Json& object, Way way, std::string_view scope, std::string_view path,
                 UnknownNames& unknown);

/// Reads an object within a body that holds such fields and nothing else: other names are
/// kInvalidArgument, with the nearest name. `path` names the object in errors: "path.top_p".
void read_object(const base::Json& object, Way way, std::string_view path, GenerateOptions& options,
                 TextNumbers* texts = nullptr);

/// Adds what the options ask for beyond the defaults, under OpenAI's names. Throws kUnsupported for
/// a field that no server can be asked for by this route.
void write_body(const GenerateOptions& options, Way way, base::Json& body);

/// Adds what the options, and beneath them a patch of the defaults, ask for to a body of the native
/// routes: `llm_config`, if it would have a member, and the fields beside it. Throws as
/// `write_body`.
void write_native_body(const LLMConfig& patch, const GenerateOptions& options, base::Json& body);

/// True if a field that cannot be honoured has a value that makes no difference.
bool is_neutral(const Field& field, const base::Json& value);
bool is_neutral(const AbsentField& field, const base::Json& value);
/// True if its values are true and false.
bool is_switch(const AbsentField& field) noexcept;

}  // namespace openllm::fields

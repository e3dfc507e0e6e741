#pragma once

#include "base/json.h"
#include "fields/field.h"

// Bodies of HTTP requests: what servers read and clients write.
namespace openllm::fields {

/// Reads the fields that `way` takes from a body, which must be an object, but for those that the
/// way reads by hand. Null members count as absent. Throws kInvalidArgument for wrong values and
/// for two names of one field; kUnsupported for a field of the table that `way` does not take,
/// unless its value asks for what happens anyway. Other names are ignored.
void read_body(const base::Json& body, Way way, GenerateOptions& options);

/// The same for an object within a body that holds such fields and nothing else: other names are
/// kInvalidArgument, with the nearest name. `path` names the object in errors: "path.top_p".
void read_object(const base::Json& object, Way way, std::string_view path,
                 GenerateOptions& options);

/// Adds what the options ask for beyond the defaults, under OpenAI's names. Throws kUnsupported for
/// a field that no server can be asked for.
void write_body(const GenerateOptions& options, Way way, base::Json& body);

/// True if a field that cannot be honoured has a value that makes no difference.
bool is_neutral(const Field& field, const base::Json& value);
bool is_neutral(const AbsentField& field, const base::Json& value);

}  // namespace openllm::fields

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "fields/field.h"

// Bodies of HTTP requests: what servers read and clients write.
namespace openllm::fields {

/// Names of members that no table has, with the path to each; they change nothing.
using UnknownNames = std::vector<std::string>;

/// Reads the fields that `way` takes from a body, which must be an object, but for those that the
/// way reads by hand. Null members count as absent. Throws kInvalidArgument for wrong values, for
/// two names of one field and for a name that is nearly that of a known one; kUnsupported for what
/// `way` does not take, unless its value asks for what happens anyway. Names that are like no known
/// one are returned.
UnknownNames read_body(const base::Json& body, Way way, GenerateOptions& options);

/// Names in an object within a body, by the same rules. `scope` is the object's name in the tables:
/// "stream_options". Other unknown names are appended to `unknown`.
void check_names(const base::Json& object, Way way, std::string_view scope, std::string_view path,
                 UnknownNames& unknown);

/// Reads an object within a body that holds such fields and nothing else: other names are
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

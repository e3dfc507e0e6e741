#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/error.h"

namespace openllm::server {

/// Reads the members of a JSON object with strict types. A null member counts as absent, as
/// OpenAI's SDKs send it. Every failure is an Error that names the member: `temperature: wrong type
/// (expected number, got string)`.
class Fields {
 public:
  /// `path` is where the object stands, for example "messages[0]"; empty for the body.
  explicit Fields(const base::Json& object, std::string path = {});

  /// Null when absent or null.
  const base::Json* find(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t min,
                                      std::int64_t max) const;
  const std::string* string(std::string_view name) const;
  const base::JsonArray* array(std::string_view name) const;
  /// Null, or a value that is an object.
  const base::Json* object(std::string_view name) const;

  /// "messages[0].role"
  std::string name_of(std::string_view name) const;
  [[noreturn]] void fail_type(std::string_view name, std::string_view expected,
                              const base::Json& got) const;
  [[noreturn]] void fail_value(std::string_view name, std::string_view expected,
                               std::string_view got) const;
  [[noreturn]] void fail_missing(std::string_view name) const;
  /// There is no field of that name.
  [[noreturn]] void fail_unknown(std::string_view name) const;
  [[noreturn]] void fail_unsupported(std::string_view name, std::string_view why) const;

 private:
  const base::Json& object_;
  std::string path_;
};

/// A request's body as JSON, in which no object has a key twice. Throws kInvalidArgument.
base::Json parse_body(std::string_view text);

}  // namespace openllm::server

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace openllm::base {

class Json;
using JsonArray = std::vector<Json>;

/// Members in the order of the text (templates and tool schemas depend on it). Lookup is linear up
/// to 16 members and by a hash index above.
class JsonObject {
 public:
  using Member = std::pair<std::string, Json>;
  JsonObject();
  ~JsonObject();
  JsonObject(const JsonObject&);
  JsonObject& operator=(const JsonObject&);
  JsonObject(JsonObject&&) noexcept;
  JsonObject& operator=(JsonObject&&) noexcept;

  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /// Null when absent.
  const Json* find(std::string_view key) const noexcept;
  Json* find(std::string_view key) noexcept;
  /// The member of that name, made null if absent.
  Json& operator[](std::string_view key);
  void erase(std::string_view key);
  std::vector<Member>::const_iterator begin() const noexcept;
  std::vector<Member>::const_iterator end() const noexcept;
  std::vector<Member>::iterator begin() noexcept;
  std::vector<Member>::iterator end() noexcept;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;  // null: empty
  Rep& rep();
};

/// A JSON value. Integers that fit are kept exact as int64; every other number is a double.
class Json {
 public:
  Json() = default;
  Json(std::nullptr_t) {}                                                // NOLINT(*-explicit-*)
  Json(bool value) : value_(value) {}                                    // NOLINT(*-explicit-*)
  Json(int value) : value_(std::int64_t{value}) {}                       // NOLINT(*-explicit-*)
  Json(std::int64_t value) : value_(value) {}                            // NOLINT(*-explicit-*)
  Json(std::size_t value) : value_(static_cast<std::int64_t>(value)) {}  // NOLINT(*-explicit-*)
  Json(double value) : value_(value) {}                                  // NOLINT(*-explicit-*)
  Json(std::string value) : value_(std::move(value)) {}                  // NOLINT(*-explicit-*)
  Json(std::string_view value) : value_(std::string(value)) {}           // NOLINT(*-explicit-*)
  Json(const char* value) : value_(std::string(value)) {}                // NOLINT(*-explicit-*)
  Json(JsonArray value) : value_(std::move(value)) {}                    // NOLINT(*-explicit-*)
  Json(JsonObject value) : value_(std::move(value)) {}                   // NOLINT(*-explicit-*)
  static Json array() { return Json(JsonArray{}); }
  static Json object() { return Json(JsonObject{}); }

  /// Parses one JSON text (RFC 8259, UTF-8; nothing but white space may follow). Of equal keys the
  /// last one wins. Throws kInvalidArgument "where: invalid JSON at byte N: ..." ; nesting deeper
  /// than `max_depth` is an error.
  static Json parse(std::string_view text, std::string_view where, int max_depth = 256);
  /// The same for texts in which two values for one thing are a mistake: of equal keys none wins,
  /// an error names the place ("messages[0].role: given twice in one object").
  static Json parse_unique(std::string_view text, std::string_view where, int max_depth = 256);
  /// As `parse`, for files that Python's json module wrote: NaN, Infinity and -Infinity are
  /// numbers.
  static Json parse_python(std::string_view text, std::string_view where, int max_depth = 256);

  bool is_null() const noexcept { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const noexcept { return std::holds_alternative<bool>(value_); }
  bool is_int() const noexcept { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const noexcept { return is_int() || std::holds_alternative<double>(value_); }
  bool is_string() const noexcept { return std::holds_alternative<std::string>(value_); }
  bool is_array() const noexcept { return std::holds_alternative<JsonArray>(value_); }
  bool is_object() const noexcept { return std::holds_alternative<JsonObject>(value_); }
  /// "null", "boolean", "integer", "number", "string", "array" or "object".
  const char* type_name() const noexcept;

  /// Null when the value is of another type.
  const bool* if_bool() const noexcept { return std::get_if<bool>(&value_); }
  const std::int64_t* if_int() const noexcept { return std::get_if<std::int64_t>(&value_); }
  const std::string* if_string() const noexcept { return std::get_if<std::string>(&value_); }
  const JsonArray* if_array() const noexcept { return std::get_if<JsonArray>(&value_); }
  const JsonObject* if_object() const noexcept { return std::get_if<JsonObject>(&value_); }
  JsonArray* if_array() noexcept { return std::get_if<JsonArray>(&value_); }
  JsonObject* if_object() noexcept { return std::get_if<JsonObject>(&value_); }

  /// The value, or kInvalidArgument "where: wrong type (expected T, got U)".
  bool as_bool(std::string_view where) const;
  std::int64_t as_int(std::string_view where) const;  ///< Also doubles without a fraction.
  double as_double(std::string_view where) const;
  const std::string& as_string(std::string_view where) const;
  const JsonArray& as_array(std::string_view where) const;
  const JsonObject& as_object(std::string_view where) const;

  /// Member lookup; null if absent or if this is not an object.
  const Json* find(std::string_view key) const noexcept;
  /// Makes this an object if it is null.
  Json& operator[](std::string_view key);
  void push_back(Json value);

  bool operator==(const Json& other) const;

  /// Compact JSON. Invalid UTF-8 is replaced by U+FFFD; NaN and infinities become null.
  std::string dump() const;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, JsonArray, JsonObject>
      value_;
};

/// Appends `text` as a JSON string with quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace openllm::base

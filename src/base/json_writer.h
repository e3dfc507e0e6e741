#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::base {

/// Writes JSON text piece by piece at the end of a string, where building a `Json` first would cost
/// too much. Places commas and colons and escapes strings; nesting is the caller's: each `begin`
/// needs its `end`, each value in an object its `key`.
/// `out` must outlive the writer. Every method returns the writer.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) noexcept : out_(out) {}

  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag) { return raw(flag ? "true" : "false"); }
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(int number) { return value(std::int64_t{number}); }
  /// The shortest decimal form that reads back as the same number; infinities and NaN become null.
  JsonWriter& value(float number);
  JsonWriter& value(double number);
  JsonWriter& value(const std::vector<std::int32_t>& numbers);
  JsonWriter& null() { return raw("null"); }
  /// The text as a string, or null if it is empty.
  JsonWriter& text_or_null(std::string_view text);
  /// One value or several, separated by commas, that are JSON text already. Empty text writes
  /// nothing.
  JsonWriter& raw(std::string_view json);

  template <typename T>
  JsonWriter& member(std::string_view name, const T& what) {
    return key(name).value(what);
  }

 private:
  JsonWriter& begin(char bracket);
  JsonWriter& end(char bracket);
  void separate();

  std::string& out_;
  bool needs_comma_ = false;
};

}  // namespace openllm::base

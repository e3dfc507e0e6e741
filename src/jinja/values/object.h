#pragma once

#include <optional>

#include "jinja/values/value.h"

namespace openllm::jinja {

class Runtime;

/// Arguments of a call.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

/// Iterates over values. `next` is false at the end.
class Iterator {
 public:
  Iterator() = default;
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;
  virtual ~Iterator() = default;
  virtual bool next(Value& out) = 0;
};

/// Everything else a template can hold: functions, namespaces, loops, ranges, views, generators.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  virtual const char* type_name() const noexcept = 0;
  virtual int depth() const noexcept { return 1; }
  virtual std::string repr(Runtime& runtime);
  virtual std::optional<Value> attribute(Runtime& runtime, std::string_view name);
  /// Null: not iterable.
  virtual std::unique_ptr<Iterator> iterate(Runtime& runtime);
  virtual std::unique_ptr<Iterator> iterate_reversed(Runtime& runtime);
  virtual std::optional<std::size_t> length(Runtime& runtime);
  virtual bool equals(const Object& other) const noexcept { return this == &other; }
  virtual bool callable() const noexcept { return false; }
  virtual Value call(Runtime& runtime, const Args& args);
};

template <typename T>
T* Value::as() const noexcept {
  return is_object() ? dynamic_cast<T*>(&object()) : nullptr;
}

}  // namespace openllm::jinja

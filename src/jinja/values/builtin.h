#pragma once

#include <array>
#include <optional>
#include <span>

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// A built-in function, filter, test or method. `self` is the piped value or the method's object.
using Builtin = Value (*)(Runtime& runtime, const Value& self, const Args& args);

struct BuiltinEntry {
  std::string_view name;
  Builtin function;
};

/// Null when there is none. Tables are small; look-ups of filters and tests happen once, while
/// parsing.
Builtin find_builtin(std::span<const BuiltinEntry> table, std::string_view name) noexcept;

/// A built-in as a value.
class FunctionObject final : public Object {
 public:
  FunctionObject(std::string_view name, Builtin function, Value self)
      : name_(name), function_(function), self_(std::move(self)) {}
  const char* type_name() const noexcept override { return "builtin_function_or_method"; }
  int depth() const noexcept override { return self_.depth() + 1; }
  std::string repr(Runtime& runtime) override;
  bool callable() const noexcept override { return true; }
  Value call(Runtime& runtime, const Args& args) override {
    return function_(runtime, self_, args);
  }

 private:
  std::string_view name_;  // of a table
  Builtin function_;
  Value self_;
};

/// Arguments matched to parameter names: the first `required` must be given.
class Bound {
 public:
  static constexpr std::size_t kMax = 6;
  Bound(const char* function, const Args& args, std::initializer_list<const char*> names,
        std::size_t required = 0);
  /// Null when not given.
  const Value* find(std::size_t index) const noexcept { return values_[index]; }
  const Value& at(std::size_t index) const { return *values_[index]; }
  bool has(std::size_t index) const noexcept { return values_[index] != nullptr; }
  /// Given and not None.
  const Value* set(std::size_t index) const noexcept;
  std::int64_t integer(std::size_t index, std::int64_t otherwise) const;
  bool boolean(Runtime& runtime, std::size_t index, bool otherwise) const;
  /// The text of an argument that must be one.
  const std::string& text(std::size_t index) const;

 private:
  const char* function_;
  std::array<const Value*, kMax> values_{};
};

}  // namespace openllm::jinja

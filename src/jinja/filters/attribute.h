#pragma once

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// The `attribute` argument of filters: "a.b.0", a number, or nothing, which stands for the item
/// itself.
class Attribute {
 public:
  /// `attribute` may be null. An undefined result becomes `fallback` if there is one.
  Attribute(Runtime& runtime, const Value* attribute, const Value* fallback = nullptr);
  /// "a,b.c" as several; one that stands for the item itself when `attributes` is null.
  static std::vector<Attribute> list(Runtime& runtime, const Value* attributes);
  Value of(const Value& item) const;

 private:
  Runtime* runtime_;
  std::vector<Value> parts_;
  Value fallback_;
  bool has_fallback_ = false;
};

/// Lower case for texts; everything else as it is.
Value fold_case(Runtime& runtime, const Value& value);

}  // namespace openllm::jinja

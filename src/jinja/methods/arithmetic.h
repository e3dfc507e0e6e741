#pragma once

#include "jinja/values/operators.h"

/// Python's arithmetic. Among the methods, as `text % values` formats a text.
namespace openllm::jinja {

Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b);
Value negate(const Value& value);
Value plus(const Value& value);

}  // namespace openllm::jinja

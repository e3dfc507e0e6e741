#pragma once

#include "jinja/values/runtime.h"

/// Python's comparisons, accesses and conversions on values. Arithmetic is in methods/arithmetic.h.
namespace openllm::jinja {

enum class Op {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,
};

const char* symbol(Op op) noexcept;

bool truth(Runtime& runtime, const Value& value);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// a < b, a <= b, a > b or a >= b.
bool ordered(Runtime& runtime, Op op, const Value& a, const Value& b);
bool compare(Runtime& runtime, Op op, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& item);

/// Fails with the message of an undefined value.
[[noreturn]] void fail_undefined(const Value& value);
/// Fails when the value is undefined.
inline void require_defined(const Value& value) {
  if (value.is_undefined()) fail_undefined(value);
}

/// str(value), which is also the printed text.
std::string str(Runtime& runtime, const Value& value);
std::string repr(Runtime& runtime, const Value& value);
std::string repr_text(std::string_view text);
std::string float_repr(double value);
/// Without a copy when the value is a text already.
class StrView {
 public:
  StrView(Runtime& runtime, const Value& value);
  std::string_view view() const noexcept { return view_; }

 private:
  std::string made_;
  Value keep_;
  std::string_view view_;
};

std::size_t length(Runtime& runtime, const Value& value);
/// value[index]; an undefined value when there is no such item (Jinja's getitem).
Value get_item(Runtime& runtime, const Value& value, const Value& index);
/// value.name (Jinja's getattr).
Value get_attribute(Runtime& runtime, const Value& value, std::string_view name);
/// An attribute that is not an item: methods and the like. Nothing when there is none.
std::optional<Value> own_attribute(Runtime& runtime, const Value& value, std::string_view name);
/// The bounds are integers or None.
Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step);
Value call(Runtime& runtime, const Value& callee, const Args& args);
bool is_callable(const Value& value) noexcept;

/// An argument as an integer: `what` names it in the message.
std::int64_t to_int(const Value& value, std::string_view what);
/// Escapes & < > ' " for HTML.
std::string escape_html(std::string_view text);
/// `text` `count` times, its size checked first.
std::string repeat(Runtime& runtime, std::string_view text, std::int64_t count);

}  // namespace openllm::jinja

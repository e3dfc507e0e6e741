#include "jinja/values/operators.h"

#include <algorithm>

#include "jinja/text/text.h"
#include "jinja/values/iterables.h"

namespace openllm::jinja {
namespace {

bool equal_sequences(Runtime& runtime, const Sequence& a, const Sequence& b) {
  if (a.is_tuple != b.is_tuple || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(runtime, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.members()) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(runtime, value, *other)) return false;
  }
  return true;
}

/// Views of keys and of items are sets in Python.
bool equal_views(Runtime& runtime, const ViewObject& a, const ViewObject& b) {
  if (a.kind() != b.kind() || a.kind() == ViewObject::Kind::kValues) return &a == &b;
  if (a.kind() == ViewObject::Kind::kItems) return equal_dicts(runtime, *a.dict(), *b.dict());
  runtime.charge(a.dict()->size());
  return a.dict()->size() == b.dict()->size() &&
         std::all_of(a.dict()->members().begin(), a.dict()->members().end(),
                     [&b](const auto& member) { return b.dict()->find(member.first) != nullptr; });
}

bool order_numbers(Op op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    const std::int64_t x = a.integral();
    const std::int64_t y = b.integral();
    return op == Op::kLt ? x < y : op == Op::kLe ? x <= y : op == Op::kGt ? x > y : x >= y;
  }
  const double x = a.number();
  const double y = b.number();
  return op == Op::kLt ? x < y : op == Op::kLe ? x <= y : op == Op::kGt ? x > y : x >= y;
}

bool order_sequences(Runtime& runtime, Op op, const Sequence& a, const Sequence& b) {
  const std::size_t n = std::min(a.items.size(), b.items.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (!equal(runtime, a.items[i], b.items[i]))
      return ordered(runtime, op, a.items[i], b.items[i]);
  }
  const Value x = Value::integer(a.items.size());
  const Value y = Value::integer(b.items.size());
  return order_numbers(op, x, y);
}

}  // namespace

const char* symbol(Op op) noexcept {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSub:
      return "-";
    case Op::kMul:
      return "*";
    case Op::kDiv:
      return "/";
    case Op::kFloorDiv:
      return "//";
    case Op::kMod:
      return "%";
    case Op::kPow:
      return "** or pow()";
    case Op::kEq:
      return "==";
    case Op::kNe:
      return "!=";
    case Op::kLt:
      return "<";
    case Op::kLe:
      return "<=";
    case Op::kGt:
      return ">";
    case Op::kGe:
      return ">=";
    case Op::kIn:
      return "in";
    case Op::kNotIn:
      return "not in";
  }
  return "";
}

void fail_undefined(const Value& value) {
  throw TemplateError{ErrorCode::kInvalidArgument, value.missing().message};
}

bool truth(Runtime& runtime, const Value& value) {
  if (value.is_bool()) return value.boolean();
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_int()) return value.integral() != 0;
  if (value.is_float()) return value.number() != 0.0;
  if (value.is_text()) return !value.text().empty();
  if (value.is_sequence()) return !value.items().empty();
  if (value.is_dict()) return value.dict().size() != 0;
  const auto n = value.object().length(runtime);
  return !n || *n != 0;
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(1);
  if (a.is_text() && b.is_text()) {
    if (a.text().size() != b.text().size()) return false;
    runtime.charge_bytes(a.text().size());
    return a.text() == b.text();
  }
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integral() == b.integral();
    return a.number() == b.number();
  }
  if (a.is_undefined() && b.is_undefined()) return true;
  const Runtime::Level level(runtime);
  if (a.is_sequence() && b.is_sequence())
    return equal_sequences(runtime, a.sequence(), b.sequence());
  if (a.is_dict() && b.is_dict()) return equal_dicts(runtime, a.dict(), b.dict());
  const auto* view_a = a.as<ViewObject>();
  const auto* view_b = b.as<ViewObject>();
  if (view_a != nullptr && view_b != nullptr) return equal_views(runtime, *view_a, *view_b);
  if (a.is_object() && b.is_object()) return a.object().equals(b.object());
  return a.is_none() && b.is_none();
}

bool ordered(Runtime& runtime, Op op, const Value& a, const Value& b) {
  runtime.charge(1);
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) return order_numbers(op, a, b);
  if (a.is_text() && b.is_text()) {
    // The order of UTF-8 bytes is that of the code points.
    runtime.charge_bytes(std::min(a.text().size(), b.text().size()));
    const int sign = a.text().compare(b.text());
    return order_numbers(op, Value(static_cast<std::int64_t>(sign)), Value(std::int64_t{0}));
  }
  if (a.is_sequence() && b.is_sequence() && a.is_tuple() == b.is_tuple()) {
    const Runtime::Level level(runtime);
    return order_sequences(runtime, op, a.sequence(), b.sequence());
  }
  fail("'", symbol(op), "' not supported between instances of '", a.type_name(), "' and '",
       b.type_name(), "'");
}

bool compare(Runtime& runtime, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq:
      return equal(runtime, a, b);
    case Op::kNe:
      return !equal(runtime, a, b);
    case Op::kIn:
      return contains(runtime, b, a);
    case Op::kNotIn:
      return !contains(runtime, b, a);
    default:
      return ordered(runtime, op, a, b);
  }
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_text()) {
    if (!item.is_text()) {
      fail("'in <string>' requires string as left operand, not ", item.type_name());
    }
    runtime.charge_bytes(container.text().size());
    return text::find(container.text(), item.text()) != std::string_view::npos;
  }
  const auto* view = container.as<ViewObject>();
  const bool keys = view != nullptr && view->kind() == ViewObject::Kind::kKeys;
  if (container.is_dict() || keys) {
    std::size_t hash = 0;
    if (!hash_of(item, hash)) fail("unhashable type: '", item.type_name(), "'");
    const Dict& dict = keys ? *view->dict() : container.dict();
    return dict.find(item) != nullptr;
  }
  const std::unique_ptr<Iterator> it = try_iterate(runtime, container);
  if (it == nullptr) fail("argument of type '", container.type_name(), "' is not iterable");
  for (Value each; it->next(each);) {
    if (each.same(item) || equal(runtime, each, item)) return true;
  }
  return false;
}

}  // namespace openllm::jinja

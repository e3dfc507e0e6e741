#include "jinja/filters/filters.h"
#include "jinja/methods/arithmetic.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

using Predicate = bool (*)(Runtime&, const Value&);

/// A test without arguments.
template <Predicate predicate>
Value simple(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("test", args, {});
  return Value(predicate(runtime, self));
}

template <Op op>
Value comparison(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("comparison", args, {"other"}, 1);
  return Value(compare(runtime, op, self, a.at(0)));
}

bool is_defined(Runtime&, const Value& value) { return !value.is_undefined(); }
bool is_undefined(Runtime&, const Value& value) { return value.is_undefined(); }
bool is_none(Runtime&, const Value& value) { return value.is_none(); }
bool is_boolean(Runtime&, const Value& value) { return value.is_bool(); }
bool is_true(Runtime&, const Value& value) { return value.is_bool() && value.boolean(); }
bool is_false(Runtime&, const Value& value) { return value.is_bool() && !value.boolean(); }
bool is_integer(Runtime&, const Value& value) { return value.is_int(); }
bool is_float(Runtime&, const Value& value) { return value.is_float(); }
bool is_number(Runtime&, const Value& value) { return value.is_number(); }
bool is_string(Runtime&, const Value& value) { return value.is_text(); }
bool is_mapping(Runtime&, const Value& value) { return value.is_dict(); }
bool is_callable_value(Runtime&, const Value& value) { return is_callable(value); }
bool is_escaped(Runtime&, const Value& value) { return value.is_text() && value.is_markup(); }
bool is_iterable(Runtime& runtime, const Value& value) {
  return try_iterate(runtime, value) != nullptr;
}
bool is_sequence(Runtime&, const Value& value) {
  return value.is_text() || value.is_sequence() || value.is_dict() || value.is_undefined() ||
         value.as<RangeObject>() != nullptr;
}

/// str(value).islower() or isupper().
template <bool upper>
bool has_case(Runtime& runtime, const Value& value) {
  const Value text = runtime.make_text(str(runtime, value));
  const Builtin method = find_builtin(text_predicates(), upper ? "isupper" : "islower");
  return truth(runtime, method(runtime, text, Args{}));
}

bool divides(Runtime& runtime, const Value& value, const Value& by) {
  const Value rest = arithmetic(runtime, Op::kMod, value, by);
  return rest.is_number() && rest.number() == 0.0;
}

bool is_even(Runtime& runtime, const Value& value) {
  return divides(runtime, value, Value(std::int64_t{2}));
}

bool is_odd(Runtime& runtime, const Value& value) {
  const Value rest = arithmetic(runtime, Op::kMod, value, Value(std::int64_t{2}));
  return rest.is_number() && rest.number() == 1.0;
}

/// These two look the value up in a dict of Python's.
void require_hashable(const Value& value) {
  std::size_t hash = 0;
  if (!hash_of(value, hash)) fail("unhashable type: '", value.type_name(), "'");
}

bool is_filter(Runtime&, const Value& value) {
  require_hashable(value);
  return value.is_text() && find_filter(value.text()) != nullptr;
}

bool is_test(Runtime&, const Value& value) {
  require_hashable(value);
  return value.is_text() && find_test(value.text()) != nullptr;
}

Value test_divisibleby(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("divisibleby", args, {"num"}, 1);
  return Value(divides(runtime, self, a.at(0)));
}

Value test_sameas(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("sameas", args, {"other"}, 1);
  return Value(self.same(a.at(0)));
}

constexpr BuiltinEntry kTests[] = {
    {"defined", simple<is_defined>},   {"undefined", simple<is_undefined>},
    {"none", simple<is_none>},         {"boolean", simple<is_boolean>},
    {"true", simple<is_true>},         {"false", simple<is_false>},
    {"integer", simple<is_integer>},   {"float", simple<is_float>},
    {"number", simple<is_number>},     {"string", simple<is_string>},
    {"mapping", simple<is_mapping>},   {"sequence", simple<is_sequence>},
    {"iterable", simple<is_iterable>}, {"callable", simple<is_callable_value>},
    {"escaped", simple<is_escaped>},   {"lower", simple<has_case<false>>},
    {"upper", simple<has_case<true>>}, {"odd", simple<is_odd>},
    {"even", simple<is_even>},         {"filter", simple<is_filter>},
    {"test", simple<is_test>},         {"divisibleby", test_divisibleby},
    {"sameas", test_sameas},           {"in", comparison<Op::kIn>},
    {"==", comparison<Op::kEq>},       {"eq", comparison<Op::kEq>},
    {"equalto", comparison<Op::kEq>},  {"!=", comparison<Op::kNe>},
    {"ne", comparison<Op::kNe>},       {">", comparison<Op::kGt>},
    {"gt", comparison<Op::kGt>},       {"greaterthan", comparison<Op::kGt>},
    {">=", comparison<Op::kGe>},       {"ge", comparison<Op::kGe>},
    {"<", comparison<Op::kLt>},        {"lt", comparison<Op::kLt>},
    {"lessthan", comparison<Op::kLt>}, {"<=", comparison<Op::kLe>},
    {"le", comparison<Op::kLe>},
};

}  // namespace

Builtin find_test(std::string_view name) noexcept { return find_builtin(kTests, name); }

}  // namespace openllm::jinja

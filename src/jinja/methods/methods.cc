#include "jinja/methods/methods.h"

#include <algorithm>
#include <cmath>

#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

Value dict_get(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("get", args, {"key", "default"}, 1);
  std::size_t hash = 0;
  if (!hash_of(a.at(0), hash)) fail("unhashable type: '", a.at(0).type_name(), "'");
  if (const Value* found = self.dict().find(a.at(0))) return *found;
  return a.has(1) ? a.at(1) : Value();
}

template <ViewObject::Kind kind>
Value dict_view(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("items", args, {});
  runtime.check_depth(self.depth() + 1);
  return Value(std::make_shared<ViewObject>(self.dict_ptr(), kind));
}

Value copy_of(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("copy", args, {});
  return self;  // values are immutable
}

Value dict_fromkeys(Runtime& runtime, const Value& /*self*/, const Args& args) {
  const Bound a("fromkeys", args, {"iterable", "value"}, 1);
  Dict out;
  for (const Value& key : collect(runtime, a.at(0))) {
    runtime.set_member(out, key, a.has(1) ? a.at(1) : Value());
  }
  return runtime.make_dict(std::move(out));
}

Value sequence_count(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("count", args, {"value"}, 1);
  std::size_t n = 0;
  for (const Value& item : self.items()) n += equal(runtime, item, a.at(0)) ? 1U : 0U;
  return Value::integer(n);
}

Value sequence_index(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("index", args, {"value", "start", "stop"}, 1);
  const auto size = static_cast<std::int64_t>(self.items().size());
  const auto clamp = [size](std::int64_t at) {
    return std::clamp(at < 0 ? std::max(at, -size) + size : at, std::int64_t{0}, size);
  };
  const std::int64_t stop = clamp(a.integer(2, size));
  for (std::int64_t i = clamp(a.integer(1, 0)); i < stop; ++i) {
    if (equal(runtime, self.items()[static_cast<std::size_t>(i)], a.at(0))) return Value(i);
  }
  fail(shorten(repr(runtime, a.at(0))), " is not in ", self.type_name());
}

Value int_bit_length(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("bit_length", args, {});
  const std::int64_t value = self.integral();
  auto bits =
      value < 0 ? ~static_cast<std::uint64_t>(value) + 1U : static_cast<std::uint64_t>(value);
  std::size_t n = 0;
  for (; bits != 0; bits >>= 1U) ++n;
  return Value::integer(n);
}

Value float_is_integer(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("is_integer", args, {});
  const double value = self.number();
  return Value(std::isfinite(value) && value == std::floor(value));
}

constexpr BuiltinEntry kDictMethods[] = {
    {"get", dict_get},
    {"items", dict_view<ViewObject::Kind::kItems>},
    {"keys", dict_view<ViewObject::Kind::kKeys>},
    {"values", dict_view<ViewObject::Kind::kValues>},
    {"copy", copy_of},
    {"fromkeys", dict_fromkeys},
};
constexpr BuiltinEntry kListMethods[] = {
    {"count", sequence_count}, {"index", sequence_index}, {"copy", copy_of}};
constexpr BuiltinEntry kTupleMethods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr BuiltinEntry kIntMethods[] = {{"bit_length", int_bit_length}};
constexpr BuiltinEntry kFloatMethods[] = {{"is_integer", float_is_integer}};

std::optional<Value> bound_method(std::span<const BuiltinEntry> table, const Value& value,
                                  std::string_view name) {
  for (const BuiltinEntry& entry : table) {
    if (entry.name == name) {
      return Value(std::make_shared<FunctionObject>(entry.name, entry.function, value));
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Value> find_method(Runtime& runtime, const Value& value, std::string_view name) {
  runtime.charge(1);
  runtime.check_depth(value.depth() + 1);
  if (value.is_dict()) return bound_method(kDictMethods, value, name);
  if (value.is_text()) {
    auto found = bound_method(text_methods(), value, name);
    return found ? found : bound_method(text_predicates(), value, name);
  }
  if (value.is_list()) return bound_method(kListMethods, value, name);
  if (value.is_tuple()) return bound_method(kTupleMethods, value, name);
  if (value.is_integral()) return bound_method(kIntMethods, value, name);
  return value.is_float() ? bound_method(kFloatMethods, value, name) : std::nullopt;
}

}  // namespace openllm::jinja

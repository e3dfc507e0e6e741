#include "chat/methods/methods.h"

#include <algorithm>
#include <cmath>

#include "chat/eval/operators.h"
#include "chat/values/iterables.h"

namespace openllm::chat {
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
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListMutators[] = {"append", "clear", "pop",    "reverse",
                                              "insert", "sort",  "extend", "remove"};

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

Builtin find_builtin(std::span<const BuiltinEntry> table, std::string_view name) noexcept {
  for (const BuiltinEntry& entry : table) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

std::string FunctionObject::repr(Runtime& /*runtime*/) {
  return base::cat("<built-in function ", name_, ">");
}

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

bool is_mutator(const Value& value, std::string_view name) noexcept {
  const auto among = [name](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return (value.is_dict() && among(kDictMutators)) || (value.is_list() && among(kListMutators));
}

Bound::Bound(const char* function, const Args& args, std::initializer_list<const char*> names,
             std::size_t required)
    : function_(function) {
  if (args.positional.size() > names.size()) {
    fail(function, "() takes at most ", names.size(), " arguments (", args.positional.size(),
         " given)");
  }
  for (std::size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.keywords) {
    std::size_t i = 0;
    while (i < names.size() && name != names.begin()[i]) ++i;
    if (i == names.size()) {
      fail(function, "() got an unexpected keyword argument '", shorten(name), "'");
    }
    if (values_[i] != nullptr) fail(function, "() got multiple values for argument '", name, "'");
    values_[i] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      fail(function, "() misses its argument '", names.begin()[i], "'");
    }
  }
}

const Value* Bound::set(std::size_t index) const noexcept {
  return has(index) && !at(index).is_none() ? values_[index] : nullptr;
}

std::int64_t Bound::integer(std::size_t index, std::int64_t otherwise) const {
  return set(index) == nullptr ? otherwise : to_int(at(index), function_);
}

bool Bound::boolean(Runtime& runtime, std::size_t index, bool otherwise) const {
  return has(index) ? truth(runtime, at(index)) : otherwise;
}

const std::string& Bound::text(std::size_t index) const {
  const Value& value = at(index);
  require_defined(value);
  if (!value.is_text())
    fail(function_, "() needs a text (expected str, got ", value.type_name(), ")");
  return value.text();
}

}  // namespace openllm::chat

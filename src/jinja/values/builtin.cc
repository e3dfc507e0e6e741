#include "jinja/values/builtin.h"

#include "jinja/values/operators.h"

namespace openllm::jinja {

Builtin find_builtin(std::span<const BuiltinEntry> table, std::string_view name) noexcept {
  for (const BuiltinEntry& entry : table) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

std::string FunctionObject::repr(Runtime& /*runtime*/) {
  return base::cat("<built-in function ", name_, ">");
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

}  // namespace openllm::jinja

#include "jinja/filters/attribute.h"
#include "jinja/filters/filters.h"
#include "jinja/filters/lazy.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

/// The arguments behind the first `skip`.
Args tail(const Args& args, std::size_t skip) {
  Args out = args;
  const std::size_t n = std::min(skip, out.positional.size());
  out.positional.erase(out.positional.begin(),
                       out.positional.begin() + static_cast<std::ptrdiff_t>(n));
  return out;
}

Value map_attribute(Runtime& runtime, const Value& self, const Args& args) {
  const Value* attribute = nullptr;
  const Value* fallback = nullptr;
  for (const auto& [name, value] : args.keywords) {
    if (name == "attribute") {
      attribute = &value;
    } else if (name == "default") {
      fallback = &value;
    } else {
      fail("Unexpected keyword argument '", shorten(name), "'");
    }
  }
  if (attribute == nullptr) fail("map requires a filter argument");
  const Attribute getter(runtime, attribute, fallback);
  const std::shared_ptr<Iterator> items = iterate(runtime, self);
  return make_generator(
      runtime,
      [items, getter](Value& out) {
        Value item;
        if (!items->next(item)) return false;
        out = getter.of(item);
        return true;
      },
      self.depth());
}

Value filter_map(Runtime& runtime, const Value& self, const Args& args) {
  if (!truth(runtime, self) && !self.is_object()) {
    return make_empty_generator(runtime);
  }
  if (args.positional.empty()) return map_attribute(runtime, self, args);
  const Value& name = args.positional[0];
  const Builtin function = name.is_text() ? find_filter(name.text()) : nullptr;
  if (function == nullptr) fail("No filter named '", shorten(str(runtime, name)), "'.");
  const std::shared_ptr<Iterator> items = iterate(runtime, self);
  return make_generator(
      runtime,
      [&runtime, items, function, rest = tail(args, 1)](Value& out) {
        Value item;
        if (!items->next(item)) return false;
        out = function(runtime, item, rest);
        return true;
      },
      self.depth());
}

template <bool wanted, bool by_attribute>
Value filter_select(Runtime& runtime, const Value& self, const Args& args) {
  if (!truth(runtime, self) && !self.is_object()) {
    return make_empty_generator(runtime);
  }
  const std::size_t skip = by_attribute ? 1 : 0;
  if (args.positional.size() < skip) fail("Missing parameter for attribute name");
  const Attribute attribute(runtime, by_attribute ? &args.positional[0] : nullptr);
  Builtin function = nullptr;
  if (args.positional.size() > skip) {
    const Value& name = args.positional[skip];
    function = name.is_text() ? find_test(name.text()) : nullptr;
    if (function == nullptr) fail("No test named '", shorten(str(runtime, name)), "'.");
  }
  const std::shared_ptr<Iterator> items = iterate(runtime, self);
  return make_generator(
      runtime,
      [&runtime, items, attribute, function, rest = tail(args, skip + 1)](Value& out) {
        while (items->next(out)) {
          runtime.charge(1);
          const Value value = attribute.of(out);
          const bool passes = function != nullptr ? truth(runtime, function(runtime, value, rest))
                                                  : truth(runtime, value);
          if (passes == wanted) return true;
        }
        return false;
      },
      self.depth());
}

constexpr BuiltinEntry kFilters[] = {
    {"map", lazy<filter_map>},
    {"reject", lazy<filter_select<false, false>>},
    {"rejectattr", lazy<filter_select<false, true>>},
    {"select", lazy<filter_select<true, false>>},
    {"selectattr", lazy<filter_select<true, true>>},
};

}  // namespace

std::span<const BuiltinEntry> selection_filters() noexcept { return kFilters; }

Builtin find_filter(std::string_view name) noexcept {
  for (const auto table :
       {text_filters(), sequence_filters(), selection_filters(), number_filters()}) {
    if (const Builtin found = find_builtin(table, name)) return found;
  }
  return nullptr;
}

}  // namespace openllm::jinja

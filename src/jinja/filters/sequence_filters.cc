#include <algorithm>

#include "jinja/filters/attribute.h"
#include "jinja/filters/filters.h"
#include "jinja/filters/lazy.h"
#include "jinja/methods/arithmetic.h"
#include "jinja/text/text.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

Value filter_default(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("default", args, {"default_value", "boolean"});
  if (self.is_undefined() || (a.boolean(runtime, 1, false) && !truth(runtime, self))) {
    return a.has(0) ? a.at(0) : runtime.make_text("");
  }
  return self;
}

Value filter_length(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("length", args, {});
  return Value::integer(length(runtime, self));
}

Value filter_list(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("list", args, {});
  return runtime.make_list(collect(runtime, self));
}

Value filter_first(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("first", args, {});
  Value out;
  if (iterate(runtime, self)->next(out)) return out;
  return Value::undefined("No first item, sequence was empty.");
}

Value filter_last(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("last", args, {});
  const auto it = try_iterate_reversed(runtime, self);
  if (it == nullptr) fail("'", self.type_name(), "' object is not reversible");
  Value out;
  if (it->next(out)) return out;
  return Value::undefined("No last item, sequence was empty.");
}

Value filter_reverse(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("reverse", args, {});
  if (self.is_text()) {
    return slice(runtime, self, Value(), Value(), Value(std::int64_t{-1}));
  }
  if (auto it = try_iterate_reversed(runtime, self)) {
    return make_generator(runtime, std::move(it), self.depth());
  }
  if (try_iterate(runtime, self) == nullptr) fail("argument must be iterable");
  std::vector<Value> items = collect(runtime, self);
  std::reverse(items.begin(), items.end());
  return runtime.make_list(std::move(items));
}

Value filter_join(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("join", args, {"d", "attribute"});
  const StrView separator(runtime, a.has(0) ? a.at(0) : runtime.make_text(""));
  const Attribute attribute(runtime, a.set(1));
  std::string out;
  bool first = true;
  const auto it = iterate(runtime, self);
  for (Value item; it->next(item);) {
    const StrView text(runtime, attribute.of(item));
    if (!first) out += separator.view();
    first = false;
    out += text.view();
    runtime.charge_bytes(separator.view().size() + text.view().size());
    runtime.check_growth(out);
  }
  return runtime.make_text(std::move(out));
}

using Keyed = std::pair<std::vector<Value>, Value>;

/// Stable, by the keys; `reverse` keeps the order of equal items, as Python's sorted does.
void sort_keyed(Runtime& runtime, std::vector<Keyed>& items, bool reverse) {
  const auto less = [&runtime](const std::vector<Value>& a, const std::vector<Value>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (equal(runtime, a[i], b[i])) continue;
      return ordered(runtime, Op::kLt, a[i], b[i]);
    }
    return false;
  };
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
}

/// The same for one key, which unlike a list of keys is always compared, even when equal.
void sort_by_key(Runtime& runtime, std::vector<Keyed>& items, bool reverse) {
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    const Keyed& low = reverse ? b : a;
    const Keyed& high = reverse ? a : b;
    return ordered(runtime, Op::kLt, low.first[0], high.first[0]);
  });
}

Value values_of(Runtime& runtime, std::vector<Keyed>& items) {
  std::vector<Value> out;
  out.reserve(items.size());
  for (Keyed& item : items) out.push_back(std::move(item.second));
  return runtime.make_list(std::move(out));
}

Value filter_sort(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("sort", args, {"reverse", "case_sensitive", "attribute"});
  const bool fold = !a.boolean(runtime, 1, false);
  const std::vector<Attribute> attributes = Attribute::list(runtime, a.set(2));
  std::vector<Keyed> items;
  for (Value& item : collect(runtime, self)) {
    std::vector<Value> keys;
    for (const Attribute& attribute : attributes) {
      Value key = attribute.of(item);
      keys.push_back(fold ? fold_case(runtime, key) : std::move(key));
    }
    items.emplace_back(std::move(keys), std::move(item));
  }
  sort_keyed(runtime, items, a.boolean(runtime, 0, false));
  return values_of(runtime, items);
}

Value filter_dictsort(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("dictsort", args, {"case_sensitive", "by", "reverse"});
  const bool fold = !a.boolean(runtime, 0, false);
  const std::string by = a.has(1) ? a.text(1) : "key";
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  require_defined(self);
  if (!self.is_dict()) fail("dictsort needs a mapping (got ", self.type_name(), ")");
  std::vector<Keyed> items;
  for (const auto& [key, value] : self.dict().members()) {
    const Value& sort_key = by == "key" ? key : value;
    std::vector<Value> keys{fold ? fold_case(runtime, sort_key) : sort_key};
    items.emplace_back(std::move(keys), runtime.make_tuple({key, value}));
  }
  sort_by_key(runtime, items, a.boolean(runtime, 2, false));
  return values_of(runtime, items);
}

Value filter_groupby(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const bool fold = !a.boolean(runtime, 2, false);
  const Attribute attribute(runtime, &a.at(0), a.set(1));
  std::vector<Keyed> items;
  for (Value& item : collect(runtime, self)) {
    Value key = attribute.of(item);
    std::vector<Value> keys{fold ? fold_case(runtime, key) : key};
    items.emplace_back(std::move(keys), std::move(item));
  }
  sort_by_key(runtime, items, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < items.size();) {
    std::vector<Value> members;
    std::size_t end = begin;
    for (; end < items.size() && equal(runtime, items[begin].first[0], items[end].first[0]);
         ++end) {
      members.push_back(items[end].second);
    }
    if (end == begin) members.push_back(items[end++].second);  // a key that is not equal to itself
    Value key = fold ? attribute.of(members[0]) : items[begin].first[0];
    groups.push_back(runtime.make_group(std::move(key), runtime.make_list(std::move(members))));
    begin = end;
  }
  return runtime.make_list(std::move(groups));
}

Value filter_unique(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("unique", args, {"case_sensitive", "attribute"});
  const bool fold = !a.boolean(runtime, 0, false);
  const Attribute attribute(runtime, a.set(1));
  struct State {
    std::unique_ptr<Iterator> items;
    Dict seen;
  };
  const auto state = std::make_shared<State>(State{iterate(runtime, self), {}});
  return make_generator(
      runtime,
      [&runtime, state, attribute, fold](Value& out) {
        while (state->items->next(out)) {
          runtime.charge(1);
          Value key = attribute.of(out);
          if (fold) key = fold_case(runtime, key);
          if (state->seen.find(key) != nullptr) continue;
          runtime.set_member(state->seen, std::move(key), Value());
          return true;
        }
        return false;
      },
      self.depth());
}

template <Op op>
Value extreme(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("min/max", args, {"case_sensitive", "attribute"});
  const bool fold = !a.boolean(runtime, 0, false);
  const Attribute attribute(runtime, a.set(1));
  const auto it = iterate(runtime, self);
  Value best;
  Value best_key;
  bool found = false;
  for (Value item; it->next(item);) {
    Value key = attribute.of(item);
    if (fold) key = fold_case(runtime, key);
    if (found && !ordered(runtime, op, key, best_key)) continue;
    found = true;
    best = item;
    best_key = std::move(key);
  }
  return found ? best : Value::undefined("No aggregated item, sequence was empty.");
}

Value filter_sum(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("sum", args, {"attribute", "start"});
  const Attribute attribute(runtime, a.set(0));
  Value total = a.has(1) ? a.at(1) : Value(std::int64_t{0});
  if (total.is_text()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  const auto it = iterate(runtime, self);
  for (Value item; it->next(item);) {
    total = arithmetic(runtime, Op::kAdd, total, attribute.of(item));
  }
  return total;
}

Value filter_items(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("items", args, {});
  if (self.is_undefined()) {
    return make_empty_generator(runtime);
  }
  if (!self.is_dict()) fail("Can only get item pairs from a mapping.");
  const Value view{
      ObjectPtr(std::make_shared<ViewObject>(self.dict_ptr(), ViewObject::Kind::kItems))};
  return make_generator(runtime, iterate(runtime, view), view.depth());
}

Value filter_batch(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("batch", args, {"linecount", "fill_with"}, 1);
  const std::int64_t count = to_int(a.at(0), "batch: linecount");
  std::vector<Value> lines;
  std::vector<Value> line;
  for (Value& item : collect(runtime, self)) {
    if (static_cast<std::int64_t>(line.size()) == count) {
      lines.push_back(runtime.make_list(std::exchange(line, {})));
    }
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    while (a.set(1) != nullptr && static_cast<std::int64_t>(line.size()) < count) {
      runtime.charge(2);
      line.push_back(a.at(1));
    }
    lines.push_back(runtime.make_list(std::move(line)));
  }
  const Value list = runtime.make_list(std::move(lines));
  return make_generator(runtime, iterate(runtime, list), list.depth());
}

Value filter_slice(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("slice", args, {"slices", "fill_with"}, 1);
  const std::int64_t slices = to_int(a.at(0), "slice: slices");
  if (slices == 0) fail("integer division or modulo by zero");
  const std::vector<Value> items = collect(runtime, self);
  const auto size = static_cast<std::int64_t>(items.size());
  std::vector<Value> out;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    const std::int64_t n = size / slices + (i < size % slices ? 1 : 0);
    std::vector<Value> part(items.begin() + begin, items.begin() + begin + n);
    if (a.set(1) != nullptr && i >= size % slices) part.push_back(a.at(1));
    out.push_back(runtime.make_list(std::move(part)));
    begin += n;
  }
  const Value list = runtime.make_list(std::move(out));
  return make_generator(runtime, iterate(runtime, list), list.depth());
}

Value filter_attr(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("attr", args, {"name"}, 1);
  const StrView name(runtime, a.at(0));
  require_defined(self);
  if (auto found = own_attribute(runtime, self, name.view())) return *std::move(found);
  return Value::undefined(
      base::cat("'", self.type_name(), " object' has no attribute '", shorten(name.view()), "'"),
      shorten(name.view()));
}

constexpr BuiltinEntry kFilters[] = {
    {"attr", filter_attr},       {"batch", lazy<filter_batch>},   {"count", filter_length},
    {"d", filter_default},       {"default", filter_default},     {"dictsort", filter_dictsort},
    {"first", filter_first},     {"groupby", filter_groupby},     {"items", lazy<filter_items>},
    {"join", filter_join},       {"last", filter_last},           {"length", filter_length},
    {"list", filter_list},       {"max", extreme<Op::kGt>},       {"min", extreme<Op::kLt>},
    {"reverse", filter_reverse}, {"slice", lazy<filter_slice>},   {"sort", filter_sort},
    {"sum", filter_sum},         {"unique", lazy<filter_unique>},
};

}  // namespace

std::span<const BuiltinEntry> sequence_filters() noexcept { return kFilters; }

}  // namespace openllm::jinja

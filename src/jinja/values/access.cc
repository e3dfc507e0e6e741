#include <algorithm>
#include <limits>

#include "jinja/text/text.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

/// The type of a value as Jinja's messages name it.
std::string type_repr(const Value& value) {
  if (value.is_none()) return "None";
  return base::cat(value.type_name(), " object");
}

Value no_such(const Value& value, const Value& index) {
  require_defined(value);
  if (index.is_text()) {
    return Value::undefined(
        base::cat("'", type_repr(value), "' has no attribute '", shorten(index.text()), "'"),
        index.text().size() <= 200 ? index.text() : "");
  }
  std::string name = index.is_int() ? std::to_string(index.integral()) : index.type_name();
  return Value::undefined(base::cat(type_repr(value), " has no element ", name));
}

Value unsafe(const Value& value, std::string_view name) {
  return Value::undefined(base::cat("access to attribute '", shorten(name), "' of '",
                                    value.type_name(), "' object is unsafe."),
                          name);
}

constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListMutators[] = {"append", "clear", "pop",    "reverse",
                                              "insert", "sort",  "extend", "remove"};

/// Methods that change their object: the sandbox forbids them.
bool is_mutator(const Value& value, std::string_view name) noexcept {
  const auto among = [name](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return (value.is_dict() && among(kDictMutators)) || (value.is_list() && among(kListMutators));
}

bool is_dunder(std::string_view name) {
  return name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
}

/// Position of `index` in a sequence of `size`; nothing when outside.
std::optional<std::size_t> position(std::int64_t index, std::size_t size) {
  const auto n = static_cast<std::int64_t>(size);
  if (index < 0) index += n;
  if (index < 0 || index >= n) return std::nullopt;
  return static_cast<std::size_t>(index);
}

/// value[index] where the type supports it.
std::optional<Value> subscript(Runtime& runtime, const Value& value, const Value& index) {
  if (value.is_dict()) {
    const Value* found = value.dict().find(index);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  if (!index.is_integral()) return std::nullopt;
  if (value.is_sequence()) {
    const auto at = position(index.integral(), value.items().size());
    return at ? std::optional<Value>(value.items()[*at]) : std::nullopt;
  }
  if (value.is_text()) {
    const std::string& bytes = value.text();
    runtime.charge_bytes(bytes.size());
    const auto at = position(index.integral(), text::length(bytes));
    if (!at) return std::nullopt;
    const std::size_t begin = text::offset(bytes, *at);
    std::string letter = bytes.substr(begin, text::width(bytes[begin]));
    return value.is_markup() ? Value::markup(std::move(letter)) : Value(std::move(letter));
  }
  if (const auto* range = value.as<RangeObject>()) {
    const auto at = position(index.integral(), range->size());
    return at ? std::optional<Value>(Value(range->at(*at))) : std::nullopt;
  }
  return std::nullopt;
}

struct Bounds {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
  std::size_t count = 0;
};

/// The result of Python's slice.indices, and the number of items.
Bounds slice_bounds(const Value& start, const Value& stop, const Value& step, std::size_t size) {
  Bounds out;
  const auto n = static_cast<std::int64_t>(size);
  const auto part = [](const Value& value, std::int64_t otherwise) {
    require_defined(value);
    if (value.is_none()) return otherwise;
    if (!value.is_integral()) {
      fail("slice indices must be integers or None or have an __index__ method");
    }
    // Not the very smallest, so that it can be negated.
    return std::max(value.integral(), -std::numeric_limits<std::int64_t>::max());
  };
  out.step = part(step, 1);
  if (out.step == 0) fail("slice step cannot be zero");
  const bool up = out.step > 0;
  const std::int64_t low = up ? 0 : -1;
  const std::int64_t high = up ? n : n - 1;
  const auto clamp = [&](std::int64_t at) { return std::clamp(at < 0 ? at + n : at, low, high); };
  out.start = start.is_none() ? (up ? low : high) : clamp(part(start, 0));
  out.stop = stop.is_none() ? (up ? high : low) : clamp(part(stop, 0));
  const std::int64_t span = up ? out.stop - out.start : out.start - out.stop;
  const std::int64_t stride = up ? out.step : -out.step;
  if (span > 0) out.count = static_cast<std::size_t>((span - 1) / stride + 1);
  return out;
}

Value slice_text(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                 const Value& step) {
  const std::string& bytes = value.text();
  runtime.charge_bytes(bytes.size());
  const Bounds bounds = slice_bounds(start, stop, step, text::length(bytes));
  std::string out;
  if (bounds.count > 0 && bounds.step == 1) {
    const std::size_t begin = text::offset(bytes, static_cast<std::size_t>(bounds.start));
    const std::string_view rest = std::string_view(bytes).substr(begin);
    out = rest.substr(0, text::offset(rest, bounds.count));
  } else if (bounds.count > 0) {
    runtime.charge(bytes.size() / 2);
    const std::u32string points = text::decode(bytes);
    std::u32string picked;
    for (std::size_t i = 0; i < bounds.count; ++i) {
      const std::int64_t at = bounds.start + static_cast<std::int64_t>(i) * bounds.step;
      picked.push_back(points[static_cast<std::size_t>(at)]);
    }
    out = text::encode(picked);
  }
  return runtime.make_text(std::move(out), value.is_markup());
}

/// The attributes of numbers; complex numbers are what Python has them for.
std::optional<Value> number_attribute(const Value& value, std::string_view name) {
  if (!value.is_number()) return std::nullopt;
  const bool integral = value.is_integral();
  if (name == "real" || (name == "numerator" && integral))
    return integral ? Value(value.integral()) : value;
  if (name == "imag") return integral ? Value(std::int64_t{0}) : Value(0.0);
  if (name == "denominator" && integral) return Value(std::int64_t{1});
  return std::nullopt;
}

}  // namespace

std::size_t length(Runtime& runtime, const Value& value) {
  const auto n = try_length(runtime, value);
  if (!n) fail("object of type '", value.type_name(), "' has no len()");
  return *n;
}

Value get_item(Runtime& runtime, const Value& value, const Value& index) {
  require_defined(value);
  if (auto found = subscript(runtime, value, index)) return *std::move(found);
  if (index.is_text()) {
    if (auto found = own_attribute(runtime, value, index.text())) return *std::move(found);
  }
  return no_such(value, index);
}

Value get_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  require_defined(value);
  if (auto found = own_attribute(runtime, value, name)) return *std::move(found);
  const Value key{std::string(name)};
  if (auto found = subscript(runtime, value, key)) return *std::move(found);
  return no_such(value, key);
}

std::optional<Value> own_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (is_dunder(name)) return unsafe(value, name);
  if (value.is_object()) return value.object().attribute(runtime, name);
  if (value.is_sequence() && value.sequence().is_group) {
    if (name == "grouper") return value.items()[0];
    if (name == "list") return value.items()[1];
  }
  if (is_mutator(value, name)) return unsafe(value, name);
  if (auto found = number_attribute(value, name)) return found;
  return runtime.find_method(value, name);
}

Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step) {
  require_defined(value);
  if (value.is_text()) return slice_text(runtime, value, start, stop, step);
  if (value.is_sequence()) {
    const Bounds bounds = slice_bounds(start, stop, step, value.items().size());
    runtime.charge(bounds.count);
    std::vector<Value> items;
    items.reserve(bounds.count);
    for (std::size_t i = 0; i < bounds.count; ++i) {
      const std::int64_t at = bounds.start + static_cast<std::int64_t>(i) * bounds.step;
      items.push_back(value.items()[static_cast<std::size_t>(at)]);
    }
    return value.is_tuple() ? runtime.make_tuple(std::move(items))
                            : runtime.make_list(std::move(items));
  }
  if (const auto* range = value.as<RangeObject>()) {
    const Bounds bounds = slice_bounds(start, stop, step, range->size());
    const auto at = [range](std::int64_t index) {
      return range->at(static_cast<std::size_t>(index));
    };
    // Unsigned: of one item or none, the step may need more than 64 bits.
    const auto stride =
        static_cast<std::uint64_t>(bounds.step) * static_cast<std::uint64_t>(range->step());
    return Value(std::make_shared<RangeObject>(at(bounds.start), at(bounds.stop),
                                               static_cast<std::int64_t>(stride), bounds.count));
  }
  if (value.is_dict()) fail("unhashable type: 'slice'");
  fail("'", value.type_name(), "' object is not subscriptable");
}

bool is_callable(const Value& value) noexcept {
  return value.is_undefined() || (value.is_object() && value.object().callable());
}

Value call(Runtime& runtime, const Value& callee, const Args& args) {
  require_defined(callee);
  if (!is_callable(callee)) fail("'", callee.type_name(), "' object is not callable");
  return callee.object().call(runtime, args);
}

std::int64_t to_int(const Value& value, std::string_view what) {
  require_defined(value);
  if (!value.is_integral())
    fail(what, " has the wrong type (expected int, got ", value.type_name(), ")");
  return value.integral();
}

}  // namespace openllm::jinja

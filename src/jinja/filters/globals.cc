#include <algorithm>

#include "jinja/filters/filters.h"
#include "jinja/format/format.h"
#include "jinja/values/iterables.h"
#include "jinja/values/namespace_object.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

Value global_raise(Runtime& runtime, const Value& /*self*/, const Args& args) {
  const Bound a("raise_exception", args, {"message"}, 1);
  throw TemplateError{ErrorCode::kInvalidArgument, str(runtime, a.at(0))};
}

Value global_strftime_now(Runtime& runtime, const Value& /*self*/, const Args& args) {
  const Bound a("strftime_now", args, {"format"}, 1);
  return runtime.make_text(format_time_now(runtime, a.text(0)));
}

Value global_range(Runtime& runtime, const Value& /*self*/, const Args& args) {
  constexpr std::size_t kMaxRange = 100'000;  // of Jinja's sandbox
  const Bound a("range", args, {"start", "stop", "step"}, 1);
  std::int64_t start = to_int(a.at(0), "range()");
  std::int64_t stop = 0;
  if (a.has(1)) {
    stop = to_int(a.at(1), "range()");
  } else {
    std::swap(start, stop);
  }
  const std::int64_t step = a.has(2) ? to_int(a.at(2), "range()") : 1;
  if (step == 0) fail("range() arg 3 must not be zero");
  const auto range = std::make_shared<RangeObject>(start, stop, step);
  if (range->size() > kMaxRange) {
    fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (", kMaxRange, ").");
  }
  runtime.charge(2);
  return Value(ObjectPtr(range));
}

/// Calls `put` with each key and value of dict(mapping or pairs, **keywords).
template <typename Put>
void each_member(Runtime& runtime, const Args& args, Put put) {
  if (args.positional.size() > 1)
    fail("dict expected at most 1 argument, got ", args.positional.size());
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    require_defined(source);
    if (source.is_dict()) {
      for (const auto& [key, value] : source.dict().members()) put(key, value);
    } else {
      for (const Value& pair : collect(runtime, source)) {
        const std::vector<Value> both = collect(runtime, pair);
        if (both.size() != 2)
          fail("dictionary update sequence element has the wrong length (expected 2, got ",
               both.size(), ")");
        put(both[0], both[1]);
      }
    }
  }
  for (const auto& [name, value] : args.keywords) put(runtime.make_text(name), value);
}

Value global_dict(Runtime& runtime, const Value& /*self*/, const Args& args) {
  Dict out;
  each_member(runtime, args,
              [&](const Value& key, const Value& value) { runtime.set_member(out, key, value); });
  return runtime.make_dict(std::move(out));
}

Value global_namespace(Runtime& runtime, const Value& /*self*/, const Args& args) {
  const auto space = std::make_shared<NamespaceObject>();
  runtime.own(space);
  each_member(runtime, args, [&](const Value& key, const Value& value) {
    if (!key.is_text()) fail("a namespace needs names (expected str, got ", key.type_name(), ")");
    space->set(runtime, key.text(), value);
  });
  return Value(ObjectPtr(space));
}

class Cycler final : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  Cycler(std::vector<Value> items, int depth) : items_(std::move(items)), depth_(depth) {}
  const char* type_name() const noexcept override { return "Cycler"; }
  int depth() const noexcept override { return depth_; }
  std::optional<Value> attribute(Runtime& /*runtime*/, std::string_view name) override {
    if (name == "current") return items_[at_];
    if (name != "next" && name != "reset") return std::nullopt;
    const Value self{ObjectPtr(shared_from_this())};
    return Value(std::make_shared<FunctionObject>(name == "next" ? "next" : "reset",
                                                  name == "next" ? next : reset, self));
  }

 private:
  static Value next(Runtime& /*runtime*/, const Value& self, const Args& /*args*/) {
    auto& cycler = *self.as<Cycler>();
    Value out = cycler.items_[cycler.at_];
    cycler.at_ = (cycler.at_ + 1) % cycler.items_.size();
    return out;
  }
  static Value reset(Runtime& /*runtime*/, const Value& self, const Args& /*args*/) {
    self.as<Cycler>()->at_ = 0;
    return {};
  }
  std::vector<Value> items_;
  std::size_t at_ = 0;
  int depth_;
};

class Joiner final : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  const char* type_name() const noexcept override { return "Joiner"; }
  int depth() const noexcept override { return separator_.depth() + 1; }
  bool callable() const noexcept override { return true; }
  Value call(Runtime& runtime, const Args& /*args*/) override {
    return std::exchange(used_, true) ? separator_ : runtime.make_text("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value global_joiner(Runtime& runtime, const Value& /*self*/, const Args& args) {
  const Bound a("joiner", args, {"sep"});
  return Value(std::make_shared<Joiner>(a.has(0) ? a.at(0) : runtime.make_text(", ")));
}

Value global_cycler(Runtime& runtime, const Value& /*self*/, const Args& args) {
  if (args.positional.empty()) fail("at least one item has to be provided");
  const Value items = runtime.make_tuple(args.positional);
  return Value(ObjectPtr(std::make_shared<Cycler>(items.items(), items.depth())));
}

constexpr BuiltinEntry kGlobals[] = {
    {"raise_exception", global_raise}, {"strftime_now", global_strftime_now},
    {"range", global_range},           {"dict", global_dict},
    {"namespace", global_namespace},   {"cycler", global_cycler},
    {"joiner", global_joiner},
};

}  // namespace

std::optional<Value> find_global(std::string_view name) {
  for (const BuiltinEntry& entry : kGlobals) {
    if (entry.name == name) {
      return Value(std::make_shared<FunctionObject>(entry.name, entry.function, Value()));
    }
  }
  return std::nullopt;
}

}  // namespace openllm::jinja

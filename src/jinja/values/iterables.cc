#include "jinja/values/iterables.h"

#include <algorithm>

#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

class FunctionIterator final : public Iterator {
 public:
  explicit FunctionIterator(std::function<bool(Value&)> next) : next_(std::move(next)) {}
  bool next(Value& out) override { return next_(out); }

 private:
  std::function<bool(Value&)> next_;
};

class SequenceIterator final : public Iterator {
 public:
  SequenceIterator(SequencePtr sequence, bool reversed)
      : sequence_(std::move(sequence)), reversed_(reversed) {}
  bool next(Value& out) override {
    const std::size_t n = sequence_->items.size();
    if (index_ >= n) return false;
    out = sequence_->items[reversed_ ? n - 1 - index_ : index_];
    ++index_;
    return true;
  }

 private:
  SequencePtr sequence_;
  bool reversed_;
  std::size_t index_ = 0;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(Runtime& runtime, DictPtr dict, ViewObject::Kind kind, bool reversed)
      : runtime_(runtime), dict_(std::move(dict)), kind_(kind), reversed_(reversed) {}
  bool next(Value& out) override {
    const std::size_t n = dict_->size();
    if (index_ >= n) return false;
    const auto& member = dict_->members()[reversed_ ? n - 1 - index_ : index_];
    ++index_;
    if (kind_ == ViewObject::Kind::kKeys) {
      out = member.first;
    } else if (kind_ == ViewObject::Kind::kValues) {
      out = member.second;
    } else {
      out = runtime_.make_tuple({member.first, member.second});
    }
    return true;
  }

 private:
  Runtime& runtime_;
  DictPtr dict_;
  ViewObject::Kind kind_;
  bool reversed_;
  std::size_t index_ = 0;
};

class TextIterator final : public Iterator {
 public:
  explicit TextIterator(TextPtr text) : text_(std::move(text)) {}
  bool next(Value& out) override {
    const std::string& bytes = text_->bytes;
    if (pos_ >= bytes.size()) return false;
    const std::size_t n = std::min(text::width(bytes[pos_]), bytes.size() - pos_);
    out = Value(bytes.substr(pos_, n));
    pos_ += n;
    return true;
  }

 private:
  TextPtr text_;
  std::size_t pos_ = 0;
};

class EmptyIterator final : public Iterator {
 public:
  bool next(Value& /*out*/) override { return false; }
};

class RangeIterator final : public Iterator {
 public:
  RangeIterator(std::int64_t first, std::uint64_t step, std::size_t size)
      : value_(static_cast<std::uint64_t>(first)), step_(step), left_(size) {}
  bool next(Value& out) override {
    if (left_ == 0) return false;
    out = Value(static_cast<std::int64_t>(value_));
    value_ += step_;
    --left_;
    return true;
  }

 private:
  std::uint64_t value_;  // unsigned, as behind the last item it may wrap around
  std::uint64_t step_;
  std::size_t left_;
};

/// Runs a generator that others may hold too.
class SharedIterator final : public Iterator {
 public:
  SharedIterator(Runtime& runtime, GeneratorObject& generator, ObjectPtr keep)
      : runtime_(runtime), generator_(generator), keep_(std::move(keep)) {}
  bool next(Value& out) override { return generator_.next(runtime_, out); }

 private:
  Runtime& runtime_;
  GeneratorObject& generator_;
  ObjectPtr keep_;
};

std::size_t range_size(std::int64_t start, std::int64_t stop, std::int64_t step) {
  const bool up = step > 0;
  if (up ? start >= stop : start <= stop) return 0;
  const auto a = static_cast<std::uint64_t>(start);
  const auto b = static_cast<std::uint64_t>(stop);
  const std::uint64_t span = up ? b - a : a - b;
  const std::uint64_t stride =
      up ? static_cast<std::uint64_t>(step) : ~static_cast<std::uint64_t>(step) + 1U;
  return (span - 1) / stride + 1;
}

}  // namespace

RangeObject::RangeObject(std::int64_t start, std::int64_t stop, std::int64_t step)
    : start_(start), stop_(stop), step_(step), size_(range_size(start, stop, step)) {}

std::string RangeObject::repr(Runtime& /*runtime*/) {
  std::string out = base::cat("range(", start_, ", ", stop_);
  return step_ == 1 ? out + ")" : base::cat(out, ", ", step_, ")");
}

std::optional<Value> RangeObject::attribute(Runtime& /*runtime*/, std::string_view name) {
  if (name == "start") return Value(start_);
  if (name == "stop") return Value(stop_);
  if (name == "step") return Value(step_);
  return std::nullopt;
}

std::unique_ptr<Iterator> RangeObject::iterate(Runtime& /*runtime*/) {
  return std::make_unique<RangeIterator>(start_, static_cast<std::uint64_t>(step_), size_);
}

std::unique_ptr<Iterator> RangeObject::iterate_reversed(Runtime& /*runtime*/) {
  if (size_ == 0) return std::make_unique<EmptyIterator>();
  return std::make_unique<RangeIterator>(at(size_ - 1), 0U - static_cast<std::uint64_t>(step_),
                                         size_);
}

bool RangeObject::equals(const Object& other) const noexcept {
  const auto* range = dynamic_cast<const RangeObject*>(&other);
  if (range == nullptr || range->size_ != size_) return false;
  return size_ == 0 || (range->start_ == start_ && (size_ == 1 || range->step_ == step_));
}

const char* ViewObject::type_name() const noexcept {
  if (kind_ == Kind::kKeys) return "dict_keys";
  return kind_ == Kind::kValues ? "dict_values" : "dict_items";
}

std::string ViewObject::repr(Runtime& runtime) {
  std::vector<Value> items;
  DictIterator it(runtime, dict_, kind_, false);
  for (Value item; it.next(item);) items.push_back(item);
  return base::cat(type_name(), "(", jinja::repr(runtime, runtime.make_list(std::move(items))),
                   ")");
}

std::unique_ptr<Iterator> ViewObject::iterate(Runtime& runtime) {
  return std::make_unique<DictIterator>(runtime, dict_, kind_, false);
}

std::unique_ptr<Iterator> ViewObject::iterate_reversed(Runtime& runtime) {
  return std::make_unique<DictIterator>(runtime, dict_, kind_, true);
}

std::unique_ptr<Iterator> GeneratorObject::iterate(Runtime& /*runtime*/) { return nullptr; }

bool GeneratorObject::next(Runtime& runtime, Value& out) {
  if (source_ == nullptr) return false;
  if (running_) fail("generator already executing");
  const Runtime::Level level(runtime);
  runtime.charge(1);
  running_ = true;
  bool more = false;
  try {
    more = source_->next(out);
  } catch (...) {
    running_ = false;
    throw;
  }
  running_ = false;
  if (!more) source_ = nullptr;
  return more;
}

std::unique_ptr<Iterator> try_iterate(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) return std::make_unique<SequenceIterator>(value.sequence_ptr(), false);
  if (value.is_dict()) {
    return std::make_unique<DictIterator>(runtime, value.dict_ptr(), ViewObject::Kind::kKeys,
                                          false);
  }
  if (value.is_text()) return std::make_unique<TextIterator>(value.text_ptr());
  if (value.is_undefined()) return std::make_unique<EmptyIterator>();
  if (auto* generator = value.as<GeneratorObject>()) {
    return std::make_unique<SharedIterator>(runtime, *generator, value.object_ptr());
  }
  return value.is_object() ? value.object().iterate(runtime) : nullptr;
}

std::unique_ptr<Iterator> iterate(Runtime& runtime, const Value& value) {
  std::unique_ptr<Iterator> it = try_iterate(runtime, value);
  if (it == nullptr) fail("'", value.type_name(), "' object is not iterable");
  return it;
}

std::unique_ptr<Iterator> try_iterate_reversed(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) return std::make_unique<SequenceIterator>(value.sequence_ptr(), true);
  if (value.is_dict()) {
    return std::make_unique<DictIterator>(runtime, value.dict_ptr(), ViewObject::Kind::kKeys, true);
  }
  if (value.is_text()) {
    std::vector<Value> letters = collect(runtime, value);
    const Value list = runtime.make_list(std::move(letters));
    return std::make_unique<SequenceIterator>(list.sequence_ptr(), true);
  }
  if (value.is_undefined()) return std::make_unique<EmptyIterator>();
  return value.is_object() ? value.object().iterate_reversed(runtime) : nullptr;
}

std::vector<Value> collect(Runtime& runtime, const Value& value) {
  constexpr std::size_t kItemCost = 2;
  std::vector<Value> items;
  const std::unique_ptr<Iterator> it = iterate(runtime, value);
  for (Value item; it->next(item);) {
    runtime.charge(kItemCost);
    items.push_back(std::move(item));
  }
  return items;
}

std::optional<std::size_t> try_length(Runtime& runtime, const Value& value) {
  if (value.is_text()) {
    runtime.charge_bytes(value.text().size());
    return text::length(value.text());
  }
  if (value.is_sequence()) return value.items().size();
  if (value.is_dict()) return value.dict().size();
  if (value.is_undefined()) return 0;
  return value.is_object() ? value.object().length(runtime) : std::nullopt;
}

Value make_generator(Runtime& runtime, std::unique_ptr<Iterator> source, int depth) {
  runtime.charge(2);
  runtime.check_depth(depth + 1);
  return Value(std::make_shared<GeneratorObject>(std::move(source), depth));
}

Value make_generator(Runtime& runtime, std::function<bool(Value&)> next, int depth) {
  return make_generator(runtime, std::make_unique<FunctionIterator>(std::move(next)), depth);
}

Value make_empty_generator(Runtime& runtime) {
  return make_generator(runtime, std::make_unique<EmptyIterator>(), 0);
}

}  // namespace openllm::jinja

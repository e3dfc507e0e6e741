#pragma once

#include <functional>

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// range(): a lazy sequence of integers. `step` is not zero.
class RangeObject final : public Object {
 public:
  RangeObject(std::int64_t start, std::int64_t stop, std::int64_t step);
  /// For a part of a range, whose items fit into 64 bits even where `stop` does not.
  RangeObject(std::int64_t start, std::int64_t stop, std::int64_t step, std::size_t size)
      : start_(start), stop_(stop), step_(step), size_(size) {}
  const char* type_name() const noexcept override { return "range"; }
  std::string repr(Runtime& runtime) override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  std::unique_ptr<Iterator> iterate(Runtime& runtime) override;
  std::unique_ptr<Iterator> iterate_reversed(Runtime& runtime) override;
  std::optional<std::size_t> length(Runtime& /*runtime*/) override { return size_; }
  bool equals(const Object& other) const noexcept override;
  std::size_t size() const noexcept { return size_; }
  std::int64_t at(std::size_t index) const noexcept {
    // Unsigned, as the product may need more than 64 bits where the sum does not.
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(start_) +
                                     index * static_cast<std::uint64_t>(step_));
  }
  std::int64_t step() const noexcept { return step_; }

 private:
  std::int64_t start_;
  std::int64_t stop_;
  std::int64_t step_;
  std::size_t size_;
};

/// The result of dict.keys(), values() and items().
class ViewObject final : public Object {
 public:
  enum class Kind { kKeys, kValues, kItems };
  ViewObject(DictPtr dict, Kind kind) : dict_(std::move(dict)), kind_(kind) {}
  const char* type_name() const noexcept override;
  int depth() const noexcept override { return dict_->depth() + 1; }
  std::string repr(Runtime& runtime) override;
  std::unique_ptr<Iterator> iterate(Runtime& runtime) override;
  std::unique_ptr<Iterator> iterate_reversed(Runtime& runtime) override;
  std::optional<std::size_t> length(Runtime& /*runtime*/) override { return dict_->size(); }
  const DictPtr& dict() const noexcept { return dict_; }
  Kind kind() const noexcept { return kind_; }

 private:
  DictPtr dict_;
  Kind kind_;
};

/// An iterator as a value: the result of map, select, reverse and the like. Runs once.
class GeneratorObject final : public Object {
 public:
  /// `depth`: that of the deepest value that `source` keeps.
  GeneratorObject(std::unique_ptr<Iterator> source, int depth)
      : source_(std::move(source)), depth_(depth + 1) {}
  const char* type_name() const noexcept override { return "generator"; }
  int depth() const noexcept override { return depth_; }
  std::unique_ptr<Iterator> iterate(Runtime& runtime) override;
  bool next(Runtime& runtime, Value& out);

 private:
  std::unique_ptr<Iterator> source_;
  int depth_;
  bool running_ = false;
};

/// Starts an iteration; fails with "'int' object is not iterable".
std::unique_ptr<Iterator> iterate(Runtime& runtime, const Value& value);
/// Null when the value cannot be iterated.
std::unique_ptr<Iterator> try_iterate(Runtime& runtime, const Value& value);
/// Python's reversed(); null when the type has none.
std::unique_ptr<Iterator> try_iterate_reversed(Runtime& runtime, const Value& value);
/// All the items; charges the runtime for them.
std::vector<Value> collect(Runtime& runtime, const Value& value);
/// len(); nothing for types without.
std::optional<std::size_t> try_length(Runtime& runtime, const Value& value);

/// A generator value that calls `next`; `depth` as above.
Value make_generator(Runtime& runtime, std::function<bool(Value&)> next, int depth);
Value make_generator(Runtime& runtime, std::unique_ptr<Iterator> source, int depth);
Value make_empty_generator(Runtime& runtime);

}  // namespace openllm::jinja

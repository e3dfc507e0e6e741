#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

/// The values of a running template: Python's, as far as templates can see them. All but Object are
/// immutable once a template can reach them, so they form no cycles; `depth` bounds how deep they
/// nest, which keeps destructors, comparisons and printing off the end of the stack.
namespace openllm::jinja {

class Value;
class Object;
class Dict;

struct None {};

/// Jinja's Undefined: prints as nothing, and fails with `message` when it is used for more.
struct Missing {
  std::string message;
  std::string name;
};

struct Text {
  std::string bytes;    ///< Valid UTF-8.
  bool markup = false;  ///< Result of `safe` or `escape`; text added to it is escaped.
};

struct Sequence {
  std::vector<Value> items;
  bool is_tuple = false;
  bool is_group = false;  ///< A tuple of groupby, with the names `grouper` and `list`.
  bool hashable = false;  ///< A tuple of few hashable items: a bound on the cost of one look-up.
  int depth = 1;
};

using MissingPtr = std::shared_ptr<const Missing>;
using TextPtr = std::shared_ptr<const Text>;
using SequencePtr = std::shared_ptr<const Sequence>;
using DictPtr = std::shared_ptr<const Dict>;
using ObjectPtr = std::shared_ptr<Object>;

class Value {
 public:
  Value() = default;  ///< None
  explicit Value(bool value) : data_(value) {}
  explicit Value(std::int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(std::string value) : data_(std::make_shared<const Text>(Text{std::move(value)})) {}
  explicit Value(MissingPtr value) : data_(std::move(value)) {}
  explicit Value(TextPtr value) : data_(std::move(value)) {}
  explicit Value(SequencePtr value) : data_(std::move(value)) {}
  explicit Value(DictPtr value) : data_(std::move(value)) {}
  explicit Value(ObjectPtr value) : data_(std::move(value)) {}
  Value(const char*) = delete;
  static Value integer(std::size_t value) { return Value(static_cast<std::int64_t>(value)); }
  static Value undefined(std::string message, std::string_view name = {});
  static Value markup(std::string value);

  bool is_none() const noexcept { return std::holds_alternative<None>(data_); }
  bool is_undefined() const noexcept { return std::holds_alternative<MissingPtr>(data_); }
  bool is_bool() const noexcept { return std::holds_alternative<bool>(data_); }
  bool is_int() const noexcept { return std::holds_alternative<std::int64_t>(data_); }
  bool is_float() const noexcept { return std::holds_alternative<double>(data_); }
  bool is_integral() const noexcept { return is_int() || is_bool(); }
  bool is_number() const noexcept { return is_integral() || is_float(); }
  bool is_text() const noexcept { return std::holds_alternative<TextPtr>(data_); }
  bool is_sequence() const noexcept { return std::holds_alternative<SequencePtr>(data_); }
  bool is_list() const noexcept { return is_sequence() && !sequence().is_tuple; }
  bool is_tuple() const noexcept { return is_sequence() && sequence().is_tuple; }
  bool is_dict() const noexcept { return std::holds_alternative<DictPtr>(data_); }
  bool is_object() const noexcept { return std::holds_alternative<ObjectPtr>(data_); }

  // Each expects its own type.
  const Missing& missing() const { return *std::get<MissingPtr>(data_); }
  bool boolean() const { return std::get<bool>(data_); }
  std::int64_t integral() const {
    return is_bool() ? (boolean() ? 1 : 0) : std::get<std::int64_t>(data_);
  }
  double number() const {
    return is_float() ? std::get<double>(data_) : static_cast<double>(integral());
  }
  const std::string& text() const { return std::get<TextPtr>(data_)->bytes; }
  bool is_markup() const { return is_text() && std::get<TextPtr>(data_)->markup; }
  const Sequence& sequence() const { return *std::get<SequencePtr>(data_); }
  const std::vector<Value>& items() const { return sequence().items; }
  const SequencePtr& sequence_ptr() const { return std::get<SequencePtr>(data_); }
  const TextPtr& text_ptr() const { return std::get<TextPtr>(data_); }
  const Dict& dict() const { return *std::get<DictPtr>(data_); }
  const DictPtr& dict_ptr() const { return std::get<DictPtr>(data_); }
  Object& object() const { return *std::get<ObjectPtr>(data_); }
  const ObjectPtr& object_ptr() const { return std::get<ObjectPtr>(data_); }
  /// Null when the value is no object of that class. Defined in object.h.
  template <typename T>
  T* as() const noexcept;

  /// Python's name of the type: "int", "str", "list", ...
  const char* type_name() const noexcept;
  /// Levels of nested containers; 0 for scalars and text.
  int depth() const noexcept;
  /// The same object (containers), or the same scalar.
  bool same(const Value& other) const;

 private:
  std::variant<None, MissingPtr, bool, std::int64_t, double, TextPtr, SequencePtr, DictPtr,
               ObjectPtr>
      data_;
};

/// Hashes values that Python can hash; false for the others (lists, dicts).
bool hash_of(const Value& value, std::size_t& hash);
/// Equality of hashable values: 1, 1.0 and True are one key.
bool same_key(const Value& a, const Value& b);

/// A dict in insertion order. Built once, then only read.
class Dict {
 public:
  using Member = std::pair<Value, Value>;
  /// The key must be hashable.
  void set(Value key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const std::vector<Member>& members() const noexcept { return members_; }
  std::size_t size() const noexcept { return members_.size(); }
  int depth() const noexcept { return depth_; }

 private:
  std::size_t position(const Value& key, std::size_t hash) const;
  std::vector<Member> members_;
  std::unordered_multimap<std::size_t, std::size_t> index_;  // filled above kLinear members
  int depth_ = 1;
};

}  // namespace openllm::jinja

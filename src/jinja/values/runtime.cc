#include "jinja/values/runtime.h"

#include <algorithm>

namespace openllm::jinja {
namespace {

constexpr int kMaxValueDepth = 400;            // context JSON nests at most 256 deep
constexpr std::size_t kMaxOwned = 200'000;     // objects that hold others, per rendering
constexpr std::size_t kOperationsPerItem = 2;  // a container's element costs memory too
constexpr std::size_t kMaxKeyItems = 16;       // of a tuple that is a key of a dict
constexpr int kMaxKeyDepth = 2;

}  // namespace

void Runtime::check_text(std::size_t bytes) {
  if (bytes > limits_.max_output_bytes) {
    fail_limit("a text grows too long (expected at most ", limits_.max_output_bytes, " bytes, got ",
               bytes, ")");
  }
  charge_bytes(bytes);
}

Value Runtime::make_text(std::string text) {
  check_text(text.size());
  return Value(std::move(text));
}

Value Runtime::make_text(std::string text, bool markup) {
  check_text(text.size());
  return markup ? Value::markup(std::move(text)) : Value(std::move(text));
}

void Runtime::check_depth(int depth) const {
  if (depth > kMaxValueDepth) {
    fail_limit("values nest too deep (expected at most ", kMaxValueDepth, " levels)");
  }
}

Value Runtime::make_sequence(std::vector<Value> items, bool is_tuple, bool is_group) {
  charge(1 + items.size() * kOperationsPerItem);
  int depth = 0;
  bool hashable = is_tuple && items.size() <= kMaxKeyItems;
  for (const Value& item : items) {
    depth = std::max(depth, item.depth());
    std::size_t hash = 0;
    hashable = hashable && (item.is_text() || hash_of(item, hash));
  }
  check_depth(depth + 1);
  hashable = hashable && depth <= kMaxKeyDepth;
  return Value(std::make_shared<const Sequence>(
      Sequence{std::move(items), is_tuple, is_group, hashable, depth + 1}));
}

Value Runtime::make_group(Value key, Value list) {
  std::vector<Value> items;
  items.push_back(std::move(key));
  items.push_back(std::move(list));
  return make_sequence(std::move(items), true, true);
}

Value Runtime::make_dict(Dict dict) {
  charge(1 + dict.size() * kOperationsPerItem);
  check_depth(dict.depth());
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

void Runtime::set_member(Dict& dict, Value key, Value value) {
  charge(kOperationsPerItem);
  if (key.is_text()) charge_bytes(key.text().size());
  std::size_t hash = 0;
  if (!hash_of(key, hash)) fail("unhashable type: '", key.type_name(), "'");
  dict.set(std::move(key), std::move(value));
}

void Runtime::own(ObjectPtr object) {
  charge(kOperationsPerItem);
  if (owned_.size() >= kMaxOwned) {
    fail_limit("too many namespaces and scopes (expected at most ", kMaxOwned, ")");
  }
  owned_.push_back(std::move(object));
}

void Runtime::out_of_operations() const {
  fail_limit("the template does too much work (expected at most ", limits_.max_operations,
             " operations)");
}

void Runtime::too_deep() const {
  fail_limit("calls or expressions nest too deep (expected a depth of at most ", limits_.max_depth,
             ")");
}

}  // namespace openllm::jinja

#include "jinja/values/value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "jinja/values/object.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kLinear = 8;

std::size_t mix(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9E3779B97F4A7C15U + (seed << 6U) + (seed >> 2U));
}

bool is_integer_valued(double value) {
  return value == std::floor(value) && value >= -9.2e18 && value <= 9.2e18;
}

}  // namespace

Value Value::undefined(std::string message, std::string_view name) {
  return Value(std::make_shared<const Missing>(Missing{std::move(message), std::string(name)}));
}

Value Value::markup(std::string value) {
  return Value(std::make_shared<const Text>(Text{std::move(value), true}));
}

const char* Value::type_name() const noexcept {
  if (is_none()) return "NoneType";
  if (is_undefined()) return "Undefined";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (is_text()) return is_markup() ? "Markup" : "str";
  if (is_sequence()) return sequence().is_tuple ? "tuple" : "list";
  if (is_dict()) return "dict";
  return object().type_name();
}

int Value::depth() const noexcept {
  if (is_sequence()) return sequence().depth;
  if (is_dict()) return dict().depth();
  if (is_object()) return object().depth();
  return 0;
}

bool Value::same(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_none()) return true;
  if (is_bool()) return boolean() == other.boolean();
  if (is_int()) return integral() == other.integral();
  if (is_float()) return number() == other.number();
  if (is_text()) return text_ptr() == other.text_ptr() || text() == other.text();
  if (is_sequence()) {
    return sequence_ptr() == other.sequence_ptr() ||
           (is_tuple() && other.is_tuple() && items().empty() && other.items().empty());
  }
  if (is_dict()) return dict_ptr() == other.dict_ptr();
  if (is_object()) return object_ptr() == other.object_ptr();
  return std::get<MissingPtr>(data_) == std::get<MissingPtr>(other.data_);
}

bool hash_of(const Value& value, std::size_t& hash) {
  if (value.is_text()) {
    hash = std::hash<std::string>{}(value.text());
  } else if (value.is_integral()) {
    hash = std::hash<std::int64_t>{}(value.integral());
  } else if (value.is_float()) {
    const double number = value.number();
    hash = is_integer_valued(number) ? std::hash<std::int64_t>{}(static_cast<std::int64_t>(number))
                                     : std::hash<double>{}(number);
  } else if (value.is_none()) {
    hash = 0x5EED;
  } else if (value.is_tuple()) {
    if (!value.sequence().hashable) return false;
    hash = value.items().size();
    for (const Value& item : value.items()) {
      std::size_t part = 0;
      if (!hash_of(item, part)) return false;
      hash = mix(hash, part);
    }
  } else if (value.is_undefined()) {
    hash = 0xDEF;
  } else if (value.is_object()) {
    hash = std::hash<const void*>{}(value.object_ptr().get());
  } else {
    return false;
  }
  return true;
}

bool same_key(const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_integral() && b.is_integral()) return a.integral() == b.integral();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_tuple() && b.is_tuple()) {
    return a.sequence_ptr() == b.sequence_ptr() ||
           std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                      same_key);
  }
  if (a.is_undefined() && b.is_undefined()) return true;
  return a.same(b);
}

std::size_t Dict::position(const Value& key, std::size_t hash) const {
  if (members_.size() <= kLinear) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (same_key(members_[i].first, key)) return i;
    }
    return members_.size();
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (same_key(members_[it->second].first, key)) return it->second;
  }
  return members_.size();
}

void Dict::set(Value key, Value value) {
  std::size_t hash = 0;
  hash_of(key, hash);
  const std::size_t i = position(key, hash);
  depth_ = std::max({depth_, 1 + key.depth(), 1 + value.depth()});
  if (i < members_.size()) {
    members_[i].second = std::move(value);
    return;
  }
  members_.emplace_back(std::move(key), std::move(value));
  if (members_.size() == kLinear + 1) {
    for (std::size_t k = 0; k < members_.size(); ++k) {
      std::size_t each = 0;
      hash_of(members_[k].first, each);
      index_.emplace(each, k);
    }
  } else if (members_.size() > kLinear) {
    index_.emplace(hash, i);
  }
}

const Value* Dict::find(const Value& key) const {
  std::size_t hash = 0;
  if (!hash_of(key, hash)) return nullptr;
  const std::size_t i = position(key, hash);
  return i == members_.size() ? nullptr : &members_[i].second;
}

const Value* Dict::find(std::string_view key) const {
  if (members_.size() <= kLinear) {
    for (const Member& member : members_) {
      if (member.first.is_text() && member.first.text() == key) return &member.second;
    }
    return nullptr;
  }
  return find(Value(std::string(key)));
}

}  // namespace openllm::jinja

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "openllm/error.h"

// Members of GenerateOptions that survive being copied byte by byte. g++ 12 (and older) copies an
// aggregate that is made within a `co_await` expression so, as in
// `co_await llm.async_generate("Once", {.max_new_tokens = 8})`. A std::string or a std::map, which
// points into itself, is broken by that.
namespace openllm {

/// A text; converts to and from std::string. Copies share it.
class OptionText {
 public:
  OptionText() = default;
  OptionText(std::string text)  // NOLINT(*-explicit-*)
      : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  OptionText(std::string_view text) : OptionText(std::string(text)) {}  // NOLINT(*-explicit-*)
  OptionText(const char* text) : OptionText(std::string(text)) {}       // NOLINT(*-explicit-*)

  const std::string& str() const noexcept {
    static const std::string kEmpty;
    return text_ ? *text_ : kEmpty;
  }
  operator const std::string&() const noexcept { return str(); }  // NOLINT(*-explicit-*)
  bool empty() const noexcept { return text_ == nullptr; }
  friend bool operator==(const OptionText& a, std::string_view b) noexcept { return a.str() == b; }

 private:
  std::shared_ptr<const std::string> text_;  // null: empty
};

/// Numbers by token id, in the order of the ids.
class LogitBias {
 public:
  using Entry = std::pair<std::int32_t, float>;
  using value_type = Entry;
  using const_iterator = std::vector<Entry>::const_iterator;

  LogitBias() = default;
  LogitBias(std::initializer_list<Entry> entries) {
    for (const Entry& entry : entries) (*this)[entry.first] = entry.second;
  }
  LogitBias(const std::map<std::int32_t, float>& map)  // NOLINT(*-explicit-*)
      : entries_(map.begin(), map.end()) {}

  /// The token's number, 0 when it had none.
  float& operator[](std::int32_t token_id) {
    const auto at =
        std::lower_bound(entries_.begin(), entries_.end(), token_id,
                         [](const Entry& entry, std::int32_t id) { return entry.first < id; });
    if (at != entries_.end() && at->first == token_id) return at->second;
    return entries_.insert(at, {token_id, 0.0F})->second;
  }
  /// Throws kInvalidArgument when the token has none.
  float at(std::int32_t token_id) const {
    for (const Entry& entry : entries_) {
      if (entry.first == token_id) return entry.second;
    }
    throw Error(ErrorCode::kInvalidArgument, "logit_bias: no entry for that token");
  }
  const_iterator begin() const noexcept { return entries_.begin(); }
  const_iterator end() const noexcept { return entries_.end(); }
  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  void clear() noexcept { entries_.clear(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace openllm

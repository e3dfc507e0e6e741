#include "fields/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"

namespace openllm::fields {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

/// Values are quoted in messages; long ones would drown them.
std::string shorten(std::string_view text) {
  constexpr std::size_t kMax = 60;
  return text.size() <= kMax ? std::string(text) : std::string(text.substr(0, kMax)) + "...";
}

void require_count(std::size_t count, std::string_view where, const Range& range) {
  const auto n = static_cast<double>(count);
  if (n >= range.min && n <= range.max) return;
  const bool is_low = n < range.min;
  fail_value(where,
             base::cat(is_low ? "at least " : "at most ",
                       static_cast<std::size_t>(is_low ? range.min : range.max), " entries"),
             std::to_string(count));
}

std::vector<std::int32_t> read_run(const base::Json& value, const std::string& where) {
  std::vector<std::int32_t> ids = read_token_ids(value, where);
  if (ids.empty()) fail_value(where, "at least one token id", "an empty list");
  return ids;
}

}  // namespace

void fail_type(std::string_view where, std::string_view expected, const base::Json& got) {
  base::fail_at(ErrorCode::kInvalidArgument, where, "wrong type (expected ", expected, ", got ",
                got.type_name(), ")");
}

void fail_value(std::string_view where, std::string_view expected, std::string_view got) {
  base::fail_at(ErrorCode::kInvalidArgument, where, "invalid value (expected ", expected, ", got ",
                shorten(got), ")");
}

bool read_boolean(const base::Json& value, std::string_view where) {
  if (const bool* flag = value.if_bool()) return *flag;
  fail_type(where, "boolean", value);
}

std::int64_t read_integer(const base::Json& value, std::string_view where, std::int64_t min,
                          std::int64_t max) {
  if (!value.is_number()) fail_type(where, "integer", value);
  std::int64_t result = 0;
  bool is_low = false;
  bool is_high = false;
  if (const std::int64_t* exact = value.if_int()) {
    result = *exact;
    is_low = result < min;
    is_high = result > max;
  } else {
    // Beyond this a number with a fraction or an exponent, or of more than 64 bits, has been
    // rounded.
    constexpr double kExact = 0x1p53;
    const double number = value.as_double(where);
    if (std::nearbyint(number) != number) fail_value(where, "integer", value.dump());
    is_low = number < static_cast<double>(min);
    is_high = number > static_cast<double>(max);
    if (!is_low && !is_high && std::abs(number) > kExact)
      fail_value(where, "an integer of 64 bits in digits alone", value.dump());
    if (!is_low && !is_high) result = static_cast<std::int64_t>(number);
  }
  if (is_low || is_high) {
    const bool unbounded =
        is_low && (max == std::numeric_limits<std::int64_t>::max() || max == kMaxInt);
    fail_value(where, unbounded ? base::cat("at least ", min) : base::cat(min, " to ", max),
               value.dump());
  }
  return result;
}

int read_integer(const base::Json& value, std::string_view where, const Range& range) {
  const auto bound = [](double limit) {
    return static_cast<std::int64_t>(
        std::clamp(limit, -static_cast<double>(kMaxInt) - 1.0, static_cast<double>(kMaxInt)));
  };
  return static_cast<int>(read_integer(value, where, bound(range.min), bound(range.max)));
}

void check_number(double value, std::string_view where, const Range& range,
                  std::string_view shown) {
  const bool is_high = range.is_above_min ? value > range.min : value >= range.min;
  const bool is_low = range.is_below_max ? value < range.max : value <= range.max;
  if (std::isfinite(value) && is_high && is_low) return;
  const std::string expected = to_string(range);
  fail_value(where, expected.empty() ? "a finite number" : expected, shown);
}

double read_number(const base::Json& value, std::string_view where, const Range& range) {
  if (!value.is_number()) fail_type(where, "number", value);
  const double number = value.as_double(where);
  check_number(number, where, range, value.dump());
  return number;
}

std::string read_text(const base::Json& value, std::string_view where, const Range& range) {
  const std::string* text = value.if_string();
  if (text == nullptr) fail_type(where, "string", value);
  if (text->empty() && range.min > 0)
    fail_value(where, "a text that is not empty", "an empty text");
  if (static_cast<double>(text->size()) > range.max) {
    fail_value(where, base::cat("at most ", static_cast<std::size_t>(range.max), " bytes"),
               base::cat(text->size(), " bytes"));
  }
  return *text;
}

std::vector<std::string> read_texts(const base::Json& value, std::string_view where,
                                    const Range& range) {
  if (const std::string* text = value.if_string()) return {*text};
  const base::JsonArray* list = value.if_array();
  if (list == nullptr) fail_type(where, "string or array of strings", value);
  require_count(list->size(), where, range);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list->size(); ++i)
    texts.push_back(read_text((*list)[i], base::cat(where, "[", i, "]")));
  return texts;
}

std::vector<std::int32_t> read_token_ids(const base::Json& value, std::string_view where,
                                         const Range& range) {
  const base::JsonArray* list = value.if_array();
  if (list == nullptr) fail_type(where, "array", value);
  require_count(list->size(), where, range);
  std::vector<std::int32_t> ids;
  ids.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    ids.push_back(static_cast<std::int32_t>(
        read_integer((*list)[i], base::cat(where, "[", i, "]"), 0, kMaxInt)));
  }
  return ids;
}

TokenLists read_token_lists(const base::Json& value, std::string_view where, const Range& range) {
  const base::JsonArray* list = value.if_array();
  if (list == nullptr) fail_type(where, "array of arrays", value);
  require_count(list->size(), where, range);
  TokenLists lists;
  for (std::size_t i = 0; i < list->size(); ++i)
    lists.push_back(read_run((*list)[i], base::cat(where, "[", i, "]")));
  return lists;
}

ListNumbers read_list_numbers(const base::Json& value, std::string_view where, const Range& range) {
  const base::JsonArray* list = value.if_array();
  if (list == nullptr) fail_type(where, "array of pairs", value);
  ListNumbers numbers;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string place = base::cat(where, "[", i, "]");
    const base::JsonArray* pair = (*list)[i].if_array();
    if (pair == nullptr || pair->size() != 2)
      fail_value(place, "a list of token ids and a number", (*list)[i].dump());
    const double number = read_number((*pair)[1], place + "[1]", range);
    const bool is_new =
        numbers.emplace(read_run((*pair)[0], place + "[0]"), static_cast<float>(number)).second;
    if (!is_new) base::fail_at(ErrorCode::kInvalidArgument, place, "these tokens are given twice");
  }
  return numbers;
}

LengthDecay read_length_decay(const base::Json& value, std::string_view where) {
  const base::JsonArray* pair = value.if_array();
  if (pair == nullptr) fail_type(where, "array", value);
  if (pair->size() != 2) fail_value(where, "a length and a factor", value.dump());
  const Range factor{.min = 0, .is_above_min = true};
  return {static_cast<int>(read_integer((*pair)[0], base::cat(where, "[0]"), 0, kMaxInt)),
          static_cast<float>(read_number((*pair)[1], base::cat(where, "[1]"), factor))};
}

EarlyStopping read_early_stopping(const base::Json& value, std::string_view where) {
  if (const bool* flag = value.if_bool())
    return *flag ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  const std::string* text = value.if_string();
  if (text == nullptr) fail_type(where, "boolean or string", value);
  if (*text != "never") fail_value(where, "true, false or never", *text);
  return EarlyStopping::kNever;
}

namespace {

/// Whether a name is meant as a number: a text of digits, with a sign perhaps.
bool is_numeral(std::string_view name) noexcept {
  while (name.starts_with(' ')) name.remove_prefix(1);
  if (name.starts_with('-') || name.starts_with('+')) name.remove_prefix(1);
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Puts numbers to the tokens that they are for.
class TokenNumbersReader {
 public:
  TokenNumbersReader(const Range& range, TextNumbers* texts) : range_(range), texts_(texts) {}

  /// A member of an object: `name` is an id in digits, or a text.
  void add_named(const std::string& name, const base::Json& number, const std::string& place) {
    if (texts_ != nullptr && !is_numeral(name)) return add_text(name, number, place);
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc{} || end != name.data() + name.size() || id < 0)
      fail_value(place, "token ids as names", name);
    add_id(id, number, place);
  }

  /// An entry of a list: a pair of an id or a text, and its number.
  void add_pair(const base::Json& entry, const std::string& place) {
    const base::JsonArray* pair = entry.if_array();
    if (pair == nullptr || pair->size() != 2)
      fail_value(place, "a token id and a number", entry.dump());
    const std::string* text = texts_ == nullptr ? nullptr : (*pair)[0].if_string();
    if (text != nullptr) return add_text(*text, (*pair)[1], place);
    add_id(static_cast<std::int32_t>(read_integer((*pair)[0], place + "[0]", 0, kMaxInt)),
           (*pair)[1], place + "[1]");
  }

  std::map<std::int32_t, float> take() { return std::move(numbers_); }

 private:
  float read(const base::Json& number, const std::string& place) const {
    const bool* flag = number.if_bool();
    if (flag != nullptr && !*flag) return std::numeric_limits<float>::lowest();
    if (flag != nullptr) fail_value(place, "a number, or false", "true");
    return static_cast<float>(read_number(number, place, range_));
  }

  void add_id(std::int32_t id, const base::Json& number, const std::string& place) {
    if (number.is_null()) return;
    if (!numbers_.emplace(id, read(number, place)).second)
      base::fail_at(ErrorCode::kInvalidArgument, place, "token ", id, " is given twice");
  }

  void add_text(const std::string& text, const base::Json& number, const std::string& place) {
    if (text.empty()) fail_value(place, "a token id, or a text that is not empty", "\"\"");
    if (number.is_null()) return;
    if (!seen_.insert(text).second)
      base::fail_at(ErrorCode::kInvalidArgument, place, shorten(text), " is given twice");
    texts_->push_back({text, read(number, place), place});
  }

  const Range& range_;
  TextNumbers* texts_;
  std::map<std::int32_t, float> numbers_{};
  std::set<std::string> seen_{};
};

}  // namespace

std::map<std::int32_t, float> read_token_numbers(const base::Json& value, std::string_view where,
                                                 const Range& range, TextNumbers* texts) {
  TokenNumbersReader reader(range, texts);
  if (const base::JsonArray* pairs = value.if_array()) {
    for (std::size_t i = 0; i < pairs->size(); ++i)
      reader.add_pair((*pairs)[i], base::cat(where, "[", i, "]"));
  } else if (const base::JsonObject* object = value.if_object()) {
    for (const auto& [name, number] : *object)
      reader.add_named(name, number, base::cat(where, ".", shorten(name)));
  } else {
    fail_type(where, "object", value);
  }
  return reader.take();
}

}  // namespace openllm::fields

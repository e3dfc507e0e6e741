#include "fields/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace openllm::fields {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

/// Values are quoted in messages; long ones would drown them.
std::string shorten(std::string_view text) {
  constexpr std::size_t kMax = 60;
  return text.size() <= kMax ? std::string(text) : std::string(text.substr(0, kMax)) + "...";
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
  if (std::isfinite(value) && is_high && value <= range.max) return;
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
  if (static_cast<double>(list->size()) > range.max) {
    fail_value(where, base::cat("at most ", static_cast<std::size_t>(range.max), " entries"),
               std::to_string(list->size()));
  }
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list->size(); ++i)
    texts.push_back(read_text((*list)[i], base::cat(where, "[", i, "]")));
  return texts;
}

std::vector<std::int32_t> read_token_ids(const base::Json& value, std::string_view where) {
  const base::JsonArray* list = value.if_array();
  if (list == nullptr) fail_type(where, "array", value);
  std::vector<std::int32_t> ids;
  ids.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    ids.push_back(static_cast<std::int32_t>(
        read_integer((*list)[i], base::cat(where, "[", i, "]"), 0, kMaxInt)));
  }
  return ids;
}

namespace {

/// The id that a name stands for.
std::int32_t id_of(std::string_view name, std::string_view where) {
  std::int32_t id = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || end != name.data() + name.size() || id < 0)
    fail_value(where, "token ids as names", name);
  return id;
}

}  // namespace

std::map<std::int32_t, float> read_token_numbers(const base::Json& value, std::string_view where,
                                                 const Range& range) {
  std::map<std::int32_t, float> numbers;
  const auto add = [&](std::int32_t id, const base::Json& number, const std::string& place) {
    if (number.is_null()) return;
    const auto [at, is_new] =
        numbers.emplace(id, static_cast<float>(read_number(number, place, range)));
    if (!is_new) base::fail_at(ErrorCode::kInvalidArgument, place, "token ", id, " is given twice");
  };
  if (const base::JsonArray* pairs = value.if_array()) {
    for (std::size_t i = 0; i < pairs->size(); ++i) {
      const std::string place = base::cat(where, "[", i, "]");
      const base::JsonArray* pair = (*pairs)[i].if_array();
      if (pair == nullptr || pair->size() != 2)
        fail_value(place, "a token id and a number", (*pairs)[i].dump());
      add(static_cast<std::int32_t>(read_integer((*pair)[0], place + "[0]", 0, kMaxInt)),
          (*pair)[1], place + "[1]");
    }
    return numbers;
  }
  if (!value.is_object()) fail_type(where, "object", value);
  for (const auto& [name, number] : *value.if_object())
    add(id_of(name, where), number, base::cat(where, ".", name));
  return numbers;
}

}  // namespace openllm::fields

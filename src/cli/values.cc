#include "cli/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace openllm::cli {
namespace {

template <typename T>
bool parse_number(std::string_view text, T& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

/// The parts between commas and spaces, without empty ones.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find_first_of(", \t\n", begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// The text as it is shown in errors: long ones are cut.
std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 60;
  const bool is_long = text.size() > kMost;
  return base::cat('"', text.substr(0, kMost), is_long ? "..." : "", '"');
}

[[noreturn]] void refuse(std::string_view expected, std::string_view text) {
  base::fail(ErrorCode::kInvalidArgument, "expected ", expected, ", got ", quoted(text));
}

bool holds(const fields::Range& range, double value) {
  const bool is_low = range.is_below_max ? value < range.max : value <= range.max;
  return is_low && (range.is_above_min ? value > range.min : value >= range.min);
}

/// "a whole number from 0 to 65535": the range and what the type holds.
template <typename Number>
std::string expected_integer(const fields::Range& range) {
  using Limits = std::numeric_limits<Number>;
  const bool is_low = range.min <= static_cast<double>(Limits::min());
  const bool is_high = range.max >= static_cast<double>(Limits::max());
  return base::cat("a whole number from ",
                   is_low ? std::to_string(Limits::min()) : base::cat(range.min), " to ",
                   is_high ? std::to_string(Limits::max()) : base::cat(range.max));
}

std::string expected_real(const fields::Range& range) {
  const std::string bounds = fields::to_string(range);
  const bool has_both = std::isfinite(range.min) && std::isfinite(range.max);
  const bool is_between = has_both && !range.is_above_min;
  return base::cat("a number", bounds.empty() ? "" : (is_between ? " from " : " that is "), bounds);
}

}  // namespace

template <typename Number>
void parse_into(std::string_view text, Number& out, const fields::Range& range) {
  const bool has_plus = text.starts_with('+');
  const std::string_view digits = text.substr(has_plus ? 1 : 0);
  const bool has_one_sign = !digits.starts_with('+') && !(has_plus && digits.starts_with('-'));
  Number value{};
  const bool is_number = has_one_sign && parse_number(digits, value);
  if constexpr (std::is_floating_point_v<Number>) {
    if (is_number && std::isfinite(value) && holds(range, static_cast<double>(value))) {
      out = value;
      return;
    }
    double wide = 0.0;
    const bool is_too_large = !is_number && parse_number(digits, wide) && std::isfinite(wide);
    refuse(is_too_large && !std::isfinite(range.max) ? "a number below 3.4e38 in size"
                                                     : expected_real(range),
           text);
  } else {
    if (!is_number || !holds(range, static_cast<double>(value)))
      refuse(expected_integer<Number>(range), text);
    out = value;
  }
}
template void parse_into(std::string_view, int&, const fields::Range&);
template void parse_into(std::string_view, float&, const fields::Range&);
template void parse_into(std::string_view, double&, const fields::Range&);
template void parse_into(std::string_view, std::uint16_t&, const fields::Range&);
template void parse_into(std::string_view, std::uint64_t&, const fields::Range&);

std::uint64_t parse_seed(std::string_view text) {
  static_assert(kRandomSeed == static_cast<std::uint64_t>(-1));
  std::uint64_t seed = 0;
  std::int64_t negative = 0;
  if (parse_number(text, seed)) return seed;
  if (parse_number(text, negative)) return static_cast<std::uint64_t>(negative);
  refuse("a whole number from -9223372036854775808 to 18446744073709551615; -1: a random one",
         text);
}

std::vector<std::int32_t> parse_ids(std::string_view text) {
  constexpr std::string_view kExpected =
      "token ids, whole numbers from 0 to 2147483647 separated by commas";
  std::vector<std::int32_t> ids;
  const std::string_view whole = text;
  // As --json prints them.
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  for (const std::string_view part : split(text)) {
    std::int32_t id = 0;
    if (!parse_number(part, id) || id < 0) refuse(kExpected, part);
    ids.push_back(id);
  }
  if (ids.empty()) refuse("at least one token id", whole);
  return ids;
}

std::int64_t parse_bytes(std::string_view text, std::int64_t least) {
  constexpr std::array<std::pair<std::string_view, double>, 14> kUnits{{{"", 1.0},
                                                                        {"b", 1.0},
                                                                        {"k", 0x1p10},
                                                                        {"kib", 0x1p10},
                                                                        {"kb", 1e3},
                                                                        {"m", 0x1p20},
                                                                        {"mib", 0x1p20},
                                                                        {"mb", 1e6},
                                                                        {"g", 0x1p30},
                                                                        {"gib", 0x1p30},
                                                                        {"gb", 1e9},
                                                                        {"t", 0x1p40},
                                                                        {"tib", 0x1p40},
                                                                        {"tb", 1e12}}};
  double number = 0.0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  std::string unit;
  if (result.ec == std::errc()) {
    for (const char* c = result.ptr; c != end; ++c) {
      if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    }
    for (const auto& [name, factor] : kUnits) {
      const double bytes = number * factor;
      const bool fits = bytes >= static_cast<double>(least) && bytes < 0x1p62;
      if (unit == name && fits) return static_cast<std::int64_t>(bytes);
    }
  }
  refuse(base::cat("a size of at least ", least, " bytes, for example 500000, 512MiB or 2GiB"),
         text);
}

std::map<std::int32_t, float> parse_biases(std::string_view text) {
  std::map<std::int32_t, float> biases;
  for (const std::string_view part : split(text)) {
    const std::size_t equals = part.find('=');
    std::int32_t id = 0;
    float value = 0.0F;
    if (equals == std::string_view::npos || !parse_number(part.substr(0, equals), id) || id < 0 ||
        !parse_number(part.substr(equals + 1), value) || !std::isfinite(value)) {
      refuse("token ids with their numbers, for example 12=-100,7=1.5", part);
    }
    biases[id] = value;
  }
  if (biases.empty()) refuse("token ids with their numbers, for example 12=-100,7=1.5", text);
  return biases;
}

std::chrono::milliseconds parse_seconds(std::string_view text) {
  double seconds = 0.0;
  if (!parse_number(text, seconds) || !(seconds > 0.0) || seconds > 1e7)
    refuse("seconds, a number above 0 and at most 10000000", text);
  return std::chrono::milliseconds(std::max<std::int64_t>(1, std::llround(seconds * 1e3)));
}

}  // namespace openllm::cli

#include "cli/values.h"

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

}  // namespace

template <typename Number>
void parse_into(std::string_view text, Number& out) {
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  if (!digits.starts_with('+') && parse_number(digits, out)) return;
  if constexpr (std::is_floating_point_v<Number>) {
    base::fail(ErrorCode::kInvalidArgument, "expected a number, got \"", text, "\"");
  } else {
    base::fail(ErrorCode::kInvalidArgument, "expected a whole number from ",
               std::numeric_limits<Number>::min(), " to ", std::numeric_limits<Number>::max(),
               ", got \"", text, "\"");
  }
}
template void parse_into(std::string_view, int&);
template void parse_into(std::string_view, float&);
template void parse_into(std::string_view, double&);
template void parse_into(std::string_view, std::uint16_t&);
template void parse_into(std::string_view, std::uint64_t&);

std::vector<std::int32_t> parse_ids(std::string_view text) {
  std::vector<std::int32_t> ids;
  // As --json prints them.
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  for (const std::string_view part : split(text)) {
    std::int32_t id = 0;
    if (!parse_number(part, id)) {
      base::fail(ErrorCode::kInvalidArgument,
                 "token ids: expected whole numbers separated by commas, got \"", part, "\"");
    }
    ids.push_back(id);
  }
  if (ids.empty()) base::fail(ErrorCode::kInvalidArgument, "token ids: expected at least one");
  return ids;
}

std::int64_t parse_bytes(std::string_view text) {
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
      if (unit == name && bytes >= 0.0 && bytes < 0x1p62) return static_cast<std::int64_t>(bytes);
    }
  }
  base::fail(ErrorCode::kInvalidArgument,
             "size: expected a number and perhaps KiB, MiB or GiB, got \"", text, "\"");
}

std::map<std::int32_t, float> parse_biases(std::string_view text) {
  std::map<std::int32_t, float> biases;
  for (const std::string_view part : split(text)) {
    const std::size_t equals = part.find('=');
    std::int32_t id = 0;
    float value = 0.0F;
    if (equals == std::string_view::npos || !parse_number(part.substr(0, equals), id) ||
        !parse_number(part.substr(equals + 1), value)) {
      base::fail(ErrorCode::kInvalidArgument, "logit bias: expected ID=NUMBER, got \"", part, "\"");
    }
    biases[id] = value;
  }
  return biases;
}

std::chrono::milliseconds parse_seconds(std::string_view text) {
  double seconds = 0.0;
  if (!parse_number(text, seconds) || !(seconds > 0.0) || seconds > 1e7) {
    base::fail(ErrorCode::kInvalidArgument, "time: expected seconds above 0, got \"", text, "\"");
  }
  return std::chrono::milliseconds(std::max<std::int64_t>(1, std::llround(seconds * 1e3)));
}

}  // namespace openllm::cli

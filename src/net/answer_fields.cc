#include "net/answer_fields.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace openllm::net {
namespace {

using std::chrono::milliseconds;

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

/// Name and value of a line, without the white space around them.
std::pair<std::string_view, std::string_view> split(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  const std::size_t last = value.find_last_not_of("\r\n \t");
  return {line.substr(0, colon), value.substr(0, last == std::string_view::npos ? 0 : last + 1)};
}

/// A number of units, at most some days of them.
std::optional<milliseconds> duration_of(std::string_view value, double unit_ms) {
  constexpr double kMostMs = 1e9;
  double count = -1.0;
  const auto result = std::from_chars(value.data(), value.data() + value.size(), count);
  if (result.ec != std::errc{} || !(count >= 0.0)) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(std::min(count * unit_ms, kMostMs)));
}

/// The time from `now` to an HTTP date; none is left of one that has passed.
std::optional<milliseconds> time_until(std::string_view date,
                                       std::chrono::system_clock::time_point now) {
  const bool is_number = !date.empty() && (date.front() == '-' || date.front() == '+' ||
                                           std::isdigit(static_cast<unsigned char>(date.front())));
  if (is_number) return std::nullopt;  // curl reads dates of many forms, and this is none of HTTP's
  const std::time_t at = curl_getdate(std::string(date).c_str(), nullptr);
  if (at == -1) return std::nullopt;
  const auto left = std::chrono::system_clock::from_time_t(at) - now;
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(left));
}

}  // namespace

void AnswerFieldReader::read(std::string_view line, std::chrono::system_clock::time_point now,
                             HttpAnswer& answer) {
  constexpr double kSecondMs = 1000.0;
  if (line.starts_with("HTTP/")) answer.fields.clear();  // a head behind another one
  const auto [name, value] = split(line);
  if (!name.empty()) answer.fields.emplace_back(lower(name), value);
  if (equal_but_for_case(name, "retry-after-ms")) {
    const std::optional<milliseconds> time = duration_of(value, 1.0);
    if (!time) return;
    has_fine_retry_after_ = true;
    answer.retry_after = time;
  } else if (equal_but_for_case(name, "retry-after") && !has_fine_retry_after_) {
    std::optional<milliseconds> time = duration_of(value, kSecondMs);
    if (!time) time = time_until(value, now);
    if (time) answer.retry_after = time;
  } else if (equal_but_for_case(name, "x-should-retry")) {
    if (equal_but_for_case(value, "true")) answer.should_retry = true;
    if (equal_but_for_case(value, "false")) answer.should_retry = false;
  } else if (equal_but_for_case(name, "location")) {
    answer.location = value;
  }
}

}  // namespace openllm::net

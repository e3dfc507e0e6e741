#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::cli {

/// A number that is the whole text and fits. Defined for the types that options have. Throws
/// kInvalidArgument.
template <typename Number>
void parse_into(std::string_view text, Number& out);
template <typename Number>
void parse_into(std::string_view text, std::optional<Number>& out) {
  Number value{};
  parse_into(text, value);
  out = value;
}

/// "1,2,3", "1 2 3" or "[1, 2, 3]" as ids; at least one. Throws kInvalidArgument.
std::vector<std::int32_t> parse_ids(std::string_view text);
/// "512MiB", "2GiB", "1.5G", "1000000": bytes; letter case does not matter. Throws
/// kInvalidArgument.
std::int64_t parse_bytes(std::string_view text);
/// "12=-100,7=1.5": token id to number. Throws kInvalidArgument.
std::map<std::int32_t, float> parse_biases(std::string_view text);
/// Seconds, as a number above 0. Throws kInvalidArgument.
std::chrono::milliseconds parse_seconds(std::string_view text);

}  // namespace openllm::cli

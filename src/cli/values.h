#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fields/field.h"

// Values of options, read strictly: the whole text is the value, and it is in its range. Errors are
// kInvalidArgument, "expected X, got Y"; who asks puts the option's name before them.
namespace openllm::cli {

/// A number. Defined for the types that options have.
template <typename Number>
void parse_into(std::string_view text, Number& out, const fields::Range& range = {});
template <typename Number>
void parse_into(std::string_view text, std::optional<Number>& out,
                const fields::Range& range = {}) {
  Number value{};
  parse_into(text, value, range);
  out = value;
}

/// A seed of 64 bits, signed or not; -1 is kRandomSeed, a random one whatever the default.
std::uint64_t parse_seed(std::string_view text);
/// "1,2,3", "1 2 3" or "[1, 2, 3]" as ids; at least one.
std::vector<std::int32_t> parse_ids(std::string_view text);
/// "512MiB", "2GiB", "1.5G", "1000000": bytes; letter case does not matter.
std::int64_t parse_bytes(std::string_view text, std::int64_t least = 0);
/// "12=-100,7=1.5": token id to number.
std::map<std::int32_t, float> parse_biases(std::string_view text);
/// Seconds, as a number above 0 and at most 10000000.
std::chrono::milliseconds parse_seconds(std::string_view text);

}  // namespace openllm::cli

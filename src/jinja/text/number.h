#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace openllm::jinja {

/// int(text, base) and float(text); nothing for what Python refuses or 64 bits cannot hold.
std::optional<std::int64_t> parse_int(std::string_view text, std::int64_t base);
std::optional<double> parse_float(std::string_view text);

}  // namespace openllm::jinja

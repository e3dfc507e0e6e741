#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "format/gguf_file.h"

// Metadata values of a checked file as C++ and JSON values.
namespace openllm::format::gguf {

/// Bools count as integers.
bool is_integer(ValueType type) noexcept;

/// Element `i` of integers, sign extended. Unsigned 64-bit values above INT64_MAX are the caller's
/// to check.
std::uint64_t integer_bits(const Value& value, std::uint64_t i) noexcept;

/// Element `i` of f32 or f64.
double real(const Value& value, std::uint64_t i) noexcept;

/// An integer of the metadata; nullopt when absent. Throws kCorruptData unless it lies in [0, max].
std::optional<std::int64_t> find_count(const Header& header, const std::string& path,
                                       std::string_view key, std::int64_t max);

/// One member per key, without the arrays of more than 256 elements.
base::Json to_config(const Header& header);

}  // namespace openllm::format::gguf

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// A format specification: the part behind % or behind the colon of a replacement field.
struct FormatSpec {
  char32_t fill = ' ';
  char align = 0;  ///< '<', '>', '^', '=' or 0 for the type's own.
  char sign = '-';
  bool alternate = false;
  char grouping = 0;  ///< ',' or '_'.
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 0;
};

/// A number as text, with its width.
std::string format_integer(Runtime& runtime, std::int64_t value, const FormatSpec& spec);
std::string format_float(Runtime& runtime, double value, const FormatSpec& spec);
/// Cuts a text to the precision and pads it to the width.
std::string format_text(Runtime& runtime, std::string_view text, const FormatSpec& spec);

/// Reads a decimal number at `pos`; -1 when there is none.
std::int64_t read_count(std::string_view text, std::size_t& pos);

}  // namespace openllm::jinja

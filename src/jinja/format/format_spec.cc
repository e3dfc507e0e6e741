#include "jinja/format/format_spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

constexpr std::int64_t kMaxPrecision = 400;

/// Sign or prefix, then digits, in their width.
std::string pad(Runtime& runtime, const std::string& head, const std::string& body,
                const FormatSpec& spec, char own_align) {
  const auto size = static_cast<std::int64_t>(text::length(head) + text::length(body));
  const std::int64_t space = std::max<std::int64_t>(0, spec.width - size);
  const char align = spec.align == 0 ? own_align : spec.align;
  std::string fill;
  base::append_utf8(fill, spec.fill);
  const std::int64_t left = align == '<' ? 0 : align == '^' ? space / 2 : space;
  if (align == '=') return head + repeat(runtime, fill, space) + body;
  return repeat(runtime, fill, left) + head + body + repeat(runtime, fill, space - left);
}

std::string sign_of(bool negative, const FormatSpec& spec) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

/// Separators between groups of the digits in front of any point or exponent.
std::string grouped(const std::string& digits, char separator, std::size_t group) {
  if (separator == 0) return digits;
  std::size_t n = 0;
  while (n < digits.size() && std::isalnum(static_cast<unsigned char>(digits[n])) != 0) ++n;
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0 && (n - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(n);
}

}  // namespace

std::int64_t read_count(std::string_view text, std::size_t& pos) {
  constexpr std::int64_t kMaxCount = 1'000'000'000;
  if (pos >= text.size() || text[pos] < '0' || text[pos] > '9') return -1;
  std::int64_t value = 0;
  for (; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos) {
    value = value * 10 + (text[pos] - '0');
    if (value > kMaxCount)
      fail("a width or precision is too big (expected at most ", kMaxCount, ")");
  }
  return value;
}

std::string format_integer(Runtime& runtime, std::int64_t value, const FormatSpec& spec) {
  const char type = spec.type == 0 ? 'd' : spec.type;
  if (std::string_view("eEfFgG%").find(type) != std::string_view::npos) {
    return format_float(runtime, static_cast<double>(value), spec);
  }
  if (type == 'c') {
    if (value < 0 || value > 0x10FFFF) fail("%c arg not in range(0x110000)");
    std::string letter;
    base::append_utf8(letter, static_cast<char32_t>(value));
    return pad(runtime, "", letter, spec, '<');
  }
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string digits;
  auto rest =
      value < 0 ? ~static_cast<std::uint64_t>(value) + 1U : static_cast<std::uint64_t>(value);
  // A pointer, not the literals themselves: g++ 12 checks the bounds of `(a ? "x" : "y")[i]` with a
  // wrong i.
  const char* letters = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  do {
    digits += letters[rest % base];
    rest /= base;
  } while (rest != 0);
  while (static_cast<std::int64_t>(digits.size()) < std::min(spec.precision, kMaxPrecision))
    digits += '0';
  std::reverse(digits.begin(), digits.end());
  std::string head = sign_of(value < 0, spec);
  if (spec.alternate && base != 10) head += base::cat("0", type);
  return pad(runtime, head, grouped(digits, spec.grouping, base == 10 ? 3 : 4), spec, '>');
}

std::string format_float(Runtime& runtime, double value, const FormatSpec& spec) {
  FormatSpec own = spec;
  if (own.precision > kMaxPrecision) {
    fail("a precision is too big (expected at most ", kMaxPrecision, ")");
  }
  std::string digits;
  const double size = std::fabs(value);
  if (own.type == 0 && own.precision < 0) {
    digits = float_repr(size);
  } else if (!std::isfinite(value)) {
    digits = std::isnan(value) ? "nan" : "inf";
  } else {
    char type = own.type == 0 ? 'g' : own.type;
    const double scaled = type == '%' ? size * 100.0 : size;
    if (type == '%') type = 'f';
    const char format[] = {'%',
                           own.alternate ? '#' : '.',
                           own.alternate ? '.' : '*',
                           own.alternate ? '*' : type,
                           own.alternate ? type : '\0',
                           '\0'};
    std::array<char, 800> buffer{};
    const int precision = own.precision < 0 ? 6 : static_cast<int>(own.precision);
    std::snprintf(buffer.data(), buffer.size(), format, precision, scaled);
    digits = buffer.data();
    // format(1.0, '.3') keeps a digit behind the point where %g drops it.
    if (own.type == 0 && digits.find_first_of(".e") == std::string::npos) digits += ".0";
    if (own.type == '%') digits += '%';
  }
  return pad(runtime, sign_of(std::signbit(value) && !std::isnan(value), own),
             grouped(digits, own.grouping, 3), own, '>');
}

std::string format_text(Runtime& runtime, std::string_view text, const FormatSpec& spec) {
  if (spec.precision >= 0) {
    text = text.substr(0, text::offset(text, static_cast<std::size_t>(spec.precision)));
  }
  return pad(runtime, "", std::string(text), spec, '<');
}

}  // namespace openllm::jinja

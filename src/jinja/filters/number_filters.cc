#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "jinja/filters/filters.h"
#include "jinja/methods/arithmetic.h"
#include "jinja/text/number.h"
#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

Value filter_abs(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("abs", args, {});
  require_defined(self);
  if (self.is_float()) return Value(std::fabs(self.number()));
  if (!self.is_integral()) fail("bad operand type for abs(): '", self.type_name(), "'");
  return self.integral() < 0 ? negate(self) : Value(self.integral());
}

/// int(float) of a finite number.
Value truncated(double value) {
  constexpr double kLimit = 9223372036854775807.0;
  if (!(value > -kLimit && value < kLimit))
    fail("integer is out of range (expected at most 64 bits)");
  return Value(static_cast<std::int64_t>(value));
}

Value filter_int(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("int", args, {"default", "base"});
  require_defined(self);
  const Value otherwise = a.has(0) ? a.at(0) : Value(std::int64_t{0});
  std::optional<Value> out;
  if (self.is_integral()) {
    out = Value(self.integral());
  } else if (self.is_float()) {
    if (std::isinf(self.number())) fail("cannot convert float infinity to integer");
    if (!std::isnan(self.number())) out = truncated(self.number());
  } else if (self.is_text()) {
    if (const auto value = parse_int(self.text(), a.integer(1, 10))) {
      out = Value(*value);
    } else if (const auto number = parse_float(self.text())) {
      if (std::isfinite(*number)) out = truncated(*number);
    }
  }
  return out ? *out : otherwise;
}

Value filter_float(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("float", args, {"default"});
  require_defined(self);
  if (self.is_number()) return Value(self.number());
  if (self.is_text()) {
    if (const auto number = parse_float(self.text())) return Value(*number);
  }
  return a.has(0) ? a.at(0) : Value(0.0);
}

/// Python's round(): half to even, exact for the binary value.
double round_common(double value, std::int64_t precision) {
  if (!std::isfinite(value)) return value;
  if (precision >= 0) {
    constexpr std::int64_t kAllDigits = 330;
    if (precision > kAllDigits) return value;
    char buffer[700];
    std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), value);
    return std::strtod(buffer, nullptr);
  }
  if (precision < -308) return std::copysign(0.0, value);
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), "%.25e", value);
  const std::int64_t exponent = std::atoi(std::strchr(buffer, 'e') + 1);
  const std::int64_t digits = exponent + 1 + precision;  // that stay
  if (digits < 0 || value == 0.0) return std::copysign(0.0, value);
  if (digits == 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::copysign(std::fabs(value) > unit / 2 ? unit : 0.0, value);
  }
  if (digits > 25) return value;
  std::snprintf(buffer, sizeof(buffer), "%.*e", static_cast<int>(digits - 1), value);
  return std::strtod(buffer, nullptr);
}

Value round_integer(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return Value(value);
  if (precision < -18) return Value(std::int64_t{0});
  std::int64_t unit = 1;
  for (std::int64_t i = 0; i > precision; --i) unit *= 10;
  const std::int64_t rest = ((value % unit) + unit) % unit;  // above the multiple of unit below
  const std::int64_t multiple = value / unit - (value % unit < 0 ? 1 : 0);
  const bool up = rest > unit - rest || (rest == unit - rest && multiple % 2 != 0);
  std::int64_t rounded = 0;
  if (__builtin_add_overflow(value, up ? unit - rest : -rest, &rounded)) {
    fail("integer is out of range (expected at most 64 bits)");
  }
  return Value(rounded);
}

Value filter_round(Runtime& /*runtime*/, const Value& self, const Args& args) {
  const Bound a("round", args, {"precision", "method"});
  require_defined(self);
  const std::int64_t precision = a.integer(0, 0);
  const std::string method = a.has(1) ? a.text(1) : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("method must be common, ceil or floor");
  }
  if (!self.is_number()) fail("type ", self.type_name(), " doesn't define __round__ method");
  if (method == "common") {
    if (self.is_integral()) return round_integer(self.integral(), precision);
    return Value(round_common(self.number(), precision));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = self.number() * unit;
  if (!std::isfinite(scaled)) fail("cannot convert float to integer");
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return Value((whole + 0.0) / unit);  // as an integer, which has no negative zero
}

Value filter_filesizeformat(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("filesizeformat", args, {"binary"});
  require_defined(self);
  const bool binary = a.boolean(runtime, 0, false);
  const auto number = self.is_text()     ? parse_float(self.text())
                      : self.is_number() ? std::optional<double>(self.number())
                                         : std::nullopt;
  if (!number) fail("could not convert ", self.type_name(), " to float");
  const double bytes = *number;
  const double base = binary ? 1024.0 : 1000.0;
  if (bytes == 1.0) return runtime.make_text("1 Byte");
  char buffer[400];
  if (bytes < base) {
    std::snprintf(buffer, sizeof(buffer), "%.0f Bytes", std::trunc(bytes));
    return runtime.make_text(buffer);
  }
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  std::size_t i = 0;
  double unit = base * base;
  for (; i + 1 < kPrefixes.size() && bytes >= unit; ++i) unit *= base;
  const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  std::snprintf(buffer, sizeof(buffer), "%.1f %c%sB", base * bytes / unit, prefix,
                binary ? "i" : "");
  return runtime.make_text(buffer);
}

constexpr BuiltinEntry kFilters[] = {
    {"abs", filter_abs},
    {"int", filter_int},
    {"float", filter_float},
    {"round", filter_round},
    {"filesizeformat", filter_filesizeformat},
};

}  // namespace

std::span<const BuiltinEntry> number_filters() noexcept { return kFilters; }

}  // namespace openllm::jinja

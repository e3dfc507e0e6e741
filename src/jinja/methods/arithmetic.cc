#include "jinja/methods/arithmetic.h"

#include <cmath>
#include <limits>

#include "jinja/format/format.h"
#include "jinja/values/iterables.h"

namespace openllm::jinja {
namespace {

[[noreturn]] void bad_operands(Op op, const Value& a, const Value& b) {
  if (op == Op::kAdd && a.is_text()) {
    fail("can only concatenate str (not \"", b.type_name(), "\") to str");
  }
  fail("unsupported operand type(s) for ", symbol(op), ": '", a.type_name(), "' and '",
       b.type_name(), "'");
}

[[noreturn]] void overflow() { fail("integer is out of range (expected at most 64 bits)"); }

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) overflow();
  const std::int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("integer modulo by zero");
  if (b == -1) return 0;
  const std::int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return Value(result);
}

Value integers(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) overflow();
      return Value(out);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) overflow();
      return Value(out);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) overflow();
      return Value(out);
    case Op::kDiv:
      if (b == 0) fail("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Op::kFloorDiv:
      return Value(floor_div(a, b));
    case Op::kMod:
      return Value(floor_mod(a, b));
    default:
      return power(a, b);
  }
}

Value floats(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value(a + b);
    case Op::kSub:
      return Value(a - b);
    case Op::kMul:
      return Value(a * b);
    case Op::kPow: {
      if (a == 0.0 && b < 0.0) fail("0.0 cannot be raised to a negative power");
      if (a < 0.0 && std::isfinite(b) && b != std::floor(b))
        fail("complex numbers are unsupported");
      const double out = std::pow(a, b);
      if (std::isinf(out) && std::isfinite(a) && std::isfinite(b)) fail("Result too large");
      return Value(out);
    }
    default:
      break;
  }
  if (b == 0.0) fail(op == Op::kDiv ? "float division by zero" : "float floor division by zero");
  if (op == Op::kDiv) return Value(a / b);
  double mod = std::fmod(a, b);
  if (mod != 0.0 && (mod < 0.0) != (b < 0.0)) mod += b;
  if (mod == 0.0) mod = std::copysign(0.0, b);
  if (op == Op::kMod) return Value(mod);
  const double quotient = (a - mod) / b;
  return Value(quotient == 0.0 ? std::copysign(0.0, a / b) : std::round(quotient));
}

Value add_texts(Runtime& runtime, const Value& a, const Value& b) {
  const bool markup = a.is_markup() || b.is_markup();
  const bool escape = markup && a.is_markup() != b.is_markup();
  std::string left = escape && !a.is_markup() ? escape_html(a.text()) : std::string();
  std::string right = escape && !b.is_markup() ? escape_html(b.text()) : std::string();
  const std::string& x = escape && !a.is_markup() ? left : a.text();
  const std::string& y = escape && !b.is_markup() ? right : b.text();
  runtime.check_text(x.size() + y.size());
  std::string out;
  out.reserve(x.size() + y.size());
  out += x;
  out += y;
  return markup ? Value::markup(std::move(out)) : Value(std::move(out));
}

Value repeat_sequence(Runtime& runtime, const Value& value, std::int64_t count) {
  std::vector<Value> items;
  const std::size_t n = count > 0 ? static_cast<std::size_t>(count) : 0;
  std::size_t total = 0;
  if (__builtin_mul_overflow(n, value.items().size(), &total)) fail_limit("a list grows too long");
  runtime.charge(total);
  items.reserve(total);
  for (std::size_t i = 0; i < n && total > 0; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return value.is_tuple() ? runtime.make_tuple(std::move(items))
                          : runtime.make_list(std::move(items));
}

Value join_sequences(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(a.items().size() + b.items().size());
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is_tuple() ? runtime.make_tuple(std::move(items)) : runtime.make_list(std::move(items));
}

}  // namespace

std::string repeat(Runtime& runtime, std::string_view text, std::int64_t count) {
  std::string out;
  if (count <= 0 || text.empty()) return out;
  std::size_t total = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(count), text.size(), &total)) {
    fail_limit("a text grows too long");
  }
  runtime.check_text(total);
  out.reserve(total);
  for (std::int64_t i = 0; i < count; ++i) out += text;
  return out;
}

Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b) {
  require_defined(a);
  if (op == Op::kMod && a.is_text()) {
    Args args;
    if (b.is_tuple()) {
      args.positional = b.items();
    } else {
      args.positional.push_back(b);
    }
    const DictPtr mapping = b.is_dict() ? b.dict_ptr() : nullptr;
    // Python lets values stay unused that it takes for a mapping.
    const bool may_stay =
        b.is_list() || b.is_dict() || b.is_undefined() || b.as<RangeObject>() != nullptr;
    return runtime.make_text(
        percent_format(runtime, a.text(), args.positional, mapping.get(), may_stay), a.is_markup());
  }
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return integers(op, a.integral(), b.integral());
    return floats(op, a.number(), b.number());
  }
  if (op == Op::kAdd) {
    if (a.is_text() && b.is_text()) return add_texts(runtime, a, b);
    if (a.is_sequence() && b.is_sequence() && a.is_tuple() == b.is_tuple()) {
      return join_sequences(runtime, a, b);
    }
  }
  if (op == Op::kMul) {
    const Value& content = a.is_integral() ? b : a;
    const Value& count = a.is_integral() ? a : b;
    if (count.is_integral() && content.is_text()) {
      std::string out = repeat(runtime, content.text(), count.integral());
      return content.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
    }
    if (count.is_integral() && content.is_sequence()) {
      return repeat_sequence(runtime, content, count.integral());
    }
  }
  bad_operands(op, a, b);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is_integral()) {
    if (value.integral() == std::numeric_limits<std::int64_t>::min()) overflow();
    return Value(-value.integral());
  }
  if (value.is_float()) return Value(-value.number());
  fail("bad operand type for unary -: '", value.type_name(), "'");
}

Value plus(const Value& value) {
  require_defined(value);
  if (value.is_integral()) return Value(value.integral());
  if (value.is_float()) return value;
  fail("bad operand type for unary +: '", value.type_name(), "'");
}

}  // namespace openllm::jinja

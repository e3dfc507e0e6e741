#include "jinja/format/format.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "base/utf8.h"
#include "jinja/format/format_spec.h"
#include "jinja/text/number.h"
#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

/// Reads one format after the other and writes what it stands for.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const std::vector<Value>& values,
                   const Dict* mapping)
      : runtime_(runtime), text_(format), values_(values), mapping_(mapping) {}

  std::string run(bool may_stay) {
    while (pos_ < text_.size()) {
      const std::size_t next = std::min(text_.find('%', pos_), text_.size());
      put(text_.substr(pos_, next - pos_));
      pos_ = next;
      if (pos_ < text_.size()) directive();
    }
    if (used_ < values_.size() && !may_stay) {
      fail("not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  void put(std::string_view text) {
    out_ += text;
    runtime_.charge_bytes(text.size());
    runtime_.check_growth(out_);
  }
  char peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  const Value& take() {
    if (used_ >= values_.size()) fail("not enough arguments for format string");
    return values_[used_++];
  }

  void directive() {
    ++pos_;
    const Value* value = nullptr;
    if (peek() == '(') {
      const std::size_t close = text_.find(')', pos_);
      if (close == std::string_view::npos) fail("incomplete format key");
      if (mapping_ == nullptr) fail("format requires a mapping");
      const std::string_view key = text_.substr(pos_ + 1, close - pos_ - 1);
      value = mapping_->find(key);
      if (value == nullptr) fail("format: no value for the key ", repr_text(shorten(key)));
      pos_ = close + 1;
    }
    FormatSpec spec;
    flags(spec);
    spec.width = star_or_count(0, spec);
    if (peek() == '.') {
      ++pos_;
      FormatSpec ignored;
      spec.precision = star_or_count(0, ignored);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++pos_;
    if (pos_ >= text_.size()) fail("incomplete format");
    spec.type = text_[pos_++];
    if (spec.type == '%') return put("%");
    convert(spec, value != nullptr ? *value : take());
  }
  void flags(FormatSpec& spec) {
    for (;; ++pos_) {
      if (peek() == '-') {
        spec.align = '<';
      } else if (peek() == '0') {
        if (spec.align != '<') {
          spec.align = '=';
          spec.fill = '0';
        }
      } else if (peek() == '+' || (peek() == ' ' && spec.sign != '+')) {
        spec.sign = peek();
      } else if (peek() == '#') {
        spec.alternate = true;
      } else if (peek() != ' ') {
        break;
      }
    }
    if (spec.align == '<') spec.fill = ' ';
  }
  std::int64_t star_or_count(std::int64_t otherwise, FormatSpec& spec) {
    if (peek() != '*') {
      const std::int64_t count = read_count(text_, pos_);
      return count < 0 ? otherwise : count;
    }
    ++pos_;
    std::int64_t count = to_int(take(), "* in a format");
    if (count < 0) {
      spec.align = '<';
      spec.fill = ' ';
      count = count < -1'000'000'000 ? 1'000'000'000 : -count;
    }
    return count;
  }
  void convert(FormatSpec& spec, const Value& value) {
    const char type = spec.type;
    if (type == 's' || type == 'r' || type == 'a') {
      if (spec.fill == '0') spec.fill = ' ';
      if (spec.align != '<') spec.align = '>';
      const std::string text = type == 's' ? str(runtime_, value) : repr(runtime_, value);
      return put(format_text(runtime_, text, spec));
    }
    if (type == 'c' && value.is_text()) {
      if (text::length(value.text()) != 1) fail("%c requires int or char");
      if (spec.align != '<') spec.align = '>';
      return put(format_text(runtime_, value.text(), spec));
    }
    require_defined(value);
    const bool floating = std::string_view("eEfFgG").find(type) != std::string_view::npos;
    if (!floating && std::string_view("diuoxXc").find(type) == std::string_view::npos) {
      fail("unsupported format character '", std::string(1, type), "'");
    }
    if (!value.is_number()) {
      fail("%", std::string(1, type), " format: a real number is required, not ",
           value.type_name());
    }
    if (floating) return put(format_float(runtime_, value.number(), spec));
    if (type == 'd' || type == 'i' || type == 'u') spec.type = 'd';
    if (value.is_float() && spec.type != 'd') {
      fail("%", std::string(1, type), " format: an integer is required, not float");
    }
    if (value.is_float() && !(value.number() > -9.2e18 && value.number() < 9.2e18)) {
      fail("cannot convert that float to an integer");
    }
    const std::int64_t number =
        value.is_float() ? static_cast<std::int64_t>(value.number()) : value.integral();
    put(format_integer(runtime_, number, spec));
  }

  Runtime& runtime_;
  std::string_view text_;
  const std::vector<Value>& values_;
  const Dict* mapping_;
  std::size_t pos_ = 0;
  std::size_t used_ = 0;
  std::string out_;
};

/// Reads replacement fields: {}, {0}, {name.attr[item]!r:spec}.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Args& args) : runtime_(runtime), args_(args) {}

  std::string run(std::string_view format, int depth) {
    if (depth > 2) fail("Max string recursion exceeded");
    std::string out;
    for (std::size_t pos = 0; pos < format.size();) {
      const char c = format[pos];
      const bool twice = pos + 1 < format.size() && format[pos + 1] == c;
      if ((c == '{' || c == '}') && twice) {
        out += c;
        pos += 2;
      } else if (c == '}') {
        fail("Single '}' encountered in format string");
      } else if (c == '{') {
        const std::size_t end = field_end(format, pos);
        out += field(format.substr(pos + 1, end - pos - 1), depth);
        pos = end + 1;
      } else {
        const std::size_t next = std::min(format.find_first_of("{}", pos), format.size());
        out += format.substr(pos, next - pos);
        pos = next;
      }
      runtime_.check_growth(out);
    }
    runtime_.charge_bytes(out.size());
    return out;
  }

 private:
  static std::size_t field_end(std::string_view format, std::size_t open) {
    int depth = 0;
    for (std::size_t pos = open; pos < format.size(); ++pos) {
      if (format[pos] == '{') ++depth;
      if (format[pos] == '}' && --depth == 0) return pos;
    }
    fail("expected '}' before end of string");
  }
  std::string field(std::string_view text, int depth) {
    runtime_.charge(1);
    const std::size_t split = std::min(text.find_first_of("!:"), text.size());
    const Value value = resolve(text.substr(0, split));
    text.remove_prefix(split);
    char conversion = 0;
    if (!text.empty() && text[0] == '!') {
      if (text.size() < 2) fail("unmatched '{' in format spec");
      conversion = text[1];
      text.remove_prefix(2);
      if (!text.empty() && text[0] != ':') fail("expected ':' after conversion specifier");
    }
    const std::string spec = text.empty() ? std::string() : run(text.substr(1), depth + 1);
    if (conversion == 0) return format_value(runtime_, value, spec);
    if (conversion != 'r' && conversion != 's' && conversion != 'a') {
      fail("Unknown conversion specifier '", std::string(1, conversion), "'");
    }
    const std::string shown = conversion == 's' ? str(runtime_, value) : repr(runtime_, value);
    return format_value(runtime_, runtime_.make_text(shown), spec);
  }
  Value resolve(std::string_view path) {
    std::size_t pos = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, pos));
    while (pos < path.size()) {
      const bool item = path[pos++] == '[';
      const std::size_t end =
          std::min(item ? path.find(']', pos) : path.find_first_of(".[", pos), path.size());
      const std::string_view name = path.substr(pos, end - pos);
      if (name.empty()) fail("Empty attribute in format string");
      const auto index = item ? parse_int(name, 10) : std::nullopt;
      value = item ? get_item(runtime_, value, index ? Value(*index) : Value(std::string(name)))
                   : get_attribute(runtime_, value, name);
      pos = item ? end + 1 : end;
    }
    return value;
  }
  Value argument(std::string_view name) {
    std::size_t digits = 0;
    const std::int64_t given = read_count(name, digits);
    if (name.empty() || (given >= 0 && digits == name.size())) {
      const std::size_t index = name.empty() ? automatic_++ : static_cast<std::size_t>(given);
      if (index >= args_.positional.size()) {
        fail("Replacement index ", index, " out of range for positional args tuple");
      }
      return args_.positional[index];
    }
    for (const auto& [key, value] : args_.keywords) {
      if (key == name) return value;
    }
    fail("format: no value for the key ", repr_text(shorten(name)));
  }

  Runtime& runtime_;
  const Args& args_;
  std::size_t automatic_ = 0;
};

bool is_align(char32_t c) { return c == '<' || c == '>' || c == '^' || c == '='; }

FormatSpec parse_spec(std::string_view text) {
  FormatSpec spec;
  std::size_t pos = 0;
  const auto at = [&](char c) { return pos < text.size() && text[pos] == c; };
  std::size_t after = 0;
  const char32_t first = text.empty() ? 0 : base::decode_utf8(text, after);
  if (after > 0 && after < text.size() && is_align(static_cast<unsigned char>(text[after]))) {
    spec.fill = first;
    spec.align = text[after];
    pos = after + 1;
  } else if (is_align(first)) {
    spec.align = static_cast<char>(first);
    pos = 1;
  }
  if (at('+') || at('-') || at(' ')) spec.sign = text[pos++];
  if (at('#')) spec.alternate = text[pos++] == '#';
  if (at('0')) {
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = '0';
    }
    ++pos;
  }
  spec.width = std::max<std::int64_t>(0, read_count(text, pos));
  if (at(',') || at('_')) spec.grouping = text[pos++];
  if (at('.')) {
    ++pos;
    spec.precision = read_count(text, pos);
    if (spec.precision < 0) fail("Format specifier missing precision");
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos < text.size()) fail("Invalid format specifier '", shorten(text), "'");
  return spec;
}

[[noreturn]] void unknown_code(char type, const Value& value) {
  fail("Unknown format code '", std::string(1, type), "' for object of type '", value.type_name(),
       "'");
}

}  // namespace

std::string percent_format(Runtime& runtime, std::string_view format,
                           const std::vector<Value>& values, const Dict* mapping, bool may_stay) {
  return PercentFormatter(runtime, format, values, mapping).run(may_stay);
}

std::string brace_format(Runtime& runtime, std::string_view format, const Args& args) {
  return BraceFormatter(runtime, args).run(format, 0);
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view text) {
  if (text.empty()) return str(runtime, value);
  const FormatSpec spec = parse_spec(text);
  constexpr std::string_view kFloatTypes = "eEfFgG%";
  constexpr std::string_view kIntTypes = "bcdoxX";
  const bool float_type = spec.type != 0 && kFloatTypes.find(spec.type) != std::string_view::npos;
  if (value.is_text()) {
    if (spec.type != 0 && spec.type != 's') unknown_code(spec.type, value);
    if (spec.align == '=') fail("'=' alignment not allowed in string format specifier");
    return format_text(runtime, value.text(), spec);
  }
  if (value.is_integral()) {
    if (spec.type != 0 && !float_type && kIntTypes.find(spec.type) == std::string_view::npos) {
      unknown_code(spec.type, value);
    }
    if (spec.precision >= 0 && !float_type)
      fail("Precision not allowed in integer format specifier");
    return format_integer(runtime, value.integral(), spec);
  }
  if (value.is_float()) {
    if (spec.type != 0 && !float_type) unknown_code(spec.type, value);
    return format_float(runtime, value.number(), spec);
  }
  fail("unsupported format string passed to ", value.type_name(), ".__format__");
}

namespace {

/// Does what Python's datetime does before it asks strftime: %f is the microsecond, and a time
/// without a zone has neither %z nor %Z.
std::string expand_time_format(std::string_view format, long microsecond) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const std::string_view rest = format.substr(i);
    if (rest.starts_with("%z") || rest.starts_with("%Z")) {
      ++i;
    } else if (rest.starts_with("%:z")) {
      i += 2;
    } else if (rest.starts_with("%f")) {
      std::array<char, 24> digits{};
      std::snprintf(digits.data(), digits.size(), "%06ld", microsecond);
      out += digits.data();
      ++i;
    } else {
      out += format[i];
      if (format[i] == '%' && i + 1 < format.size()) out += format[++i];
    }
  }
  return out;
}

}  // namespace

std::string format_time_now(Runtime& runtime, std::string_view format) {
  constexpr std::size_t kMaxSize = 1U << 16U;
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  std::tm local{};
  if (format.size() > kMaxSize || ::localtime_r(&now.tv_sec, &local) == nullptr) {
    fail("strftime_now: the format is too long");
  }
  runtime.charge_bytes(kMaxSize);
  const std::string expanded =
      expand_time_format(format.substr(0, format.find('\0')), now.tv_nsec / 1000);
  // The mark keeps an empty result apart from one that does not fit.
  const std::string marked = base::cat(expanded, "|");
  std::string out(kMaxSize, '\0');
  const std::size_t size = std::strftime(out.data(), out.size(), marked.c_str(), &local);
  if (size == 0) fail("strftime_now: the result is too long");
  out.resize(size - 1);
  return base::sanitize_utf8(out);
}

}  // namespace openllm::jinja

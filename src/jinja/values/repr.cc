#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/utf8.h"
#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

void append_hex(std::string& out, std::string_view prefix, char32_t c, int digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += prefix;
  for (int i = digits - 1; i >= 0; --i) out += kHex[(c >> static_cast<unsigned>(4 * i)) & 15U];
}

void append_repr_char(std::string& out, char32_t c) {
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c == ' ' || (c > ' ' && c < 0x7F) || (c >= 0x80 && text::is_printable(c))) {
    base::append_utf8(out, c);
  } else if (c < 0x100) {
    append_hex(out, "\\x", c, 2);
  } else if (c < 0x10000) {
    append_hex(out, "\\u", c, 4);
  } else {
    append_hex(out, "\\U", c, 8);
  }
}

/// Writes reprs into one text, within the budget.
class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime) {}

  void print(const Value& value) {
    const Runtime::Level level(runtime_);
    runtime_.charge(1);
    if (value.is_text()) {
      if (value.is_markup()) add("Markup(");
      add(repr_text(value.text()));
      if (value.is_markup()) add(")");
    } else if (value.is_sequence()) {
      print_sequence(value.sequence());
    } else if (value.is_dict()) {
      print_dict(value.dict());
    } else if (value.is_object()) {
      add(value.object().repr(runtime_));
    } else if (value.is_undefined()) {
      add("Undefined");
    } else {
      add(str(runtime_, value));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void add(std::string_view text) {
    runtime_.charge_bytes(text.size());
    out_ += text;
    runtime_.check_growth(out_);
  }
  void print_sequence(const Sequence& sequence) {
    add(sequence.is_tuple ? "(" : "[");
    bool first = true;
    for (const Value& item : sequence.items) {
      if (!first) add(", ");
      first = false;
      print(item);
    }
    if (sequence.is_tuple && sequence.items.size() == 1) add(",");
    add(sequence.is_tuple ? ")" : "]");
  }
  void print_dict(const Dict& dict) {
    add("{");
    bool first = true;
    for (const auto& [key, value] : dict.members()) {
      if (!first) add(", ");
      first = false;
      print(key);
      add(": ");
      print(value);
    }
    add("}");
  }

  Runtime& runtime_;
  std::string out_;
};

}  // namespace

std::string repr_text(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const bool use_double = single && text.find('"') == std::string_view::npos;
  const char quote = use_double ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = base::decode_utf8(text, pos);
    if (c == '\\' || c == static_cast<unsigned char>(quote)) out += '\\';
    append_repr_char(out, c);
  }
  out += quote;
  return out;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  constexpr int kFixedBelow = 16;  // Python's repr switches to exponents here and below 1e-4
  if (exponent >= -4 && exponent < kFixedBelow) {
    std::array<char, 64> fixed{};
    const auto stop =
        std::to_chars(fixed.data(), fixed.data() + fixed.size(), value, std::chars_format::fixed);
    std::string out(fixed.data(), stop.ptr);
    if (out.find('.') == std::string::npos) out += ".0";
    return out;
  }
  return std::string(text);
}

std::string repr(Runtime& runtime, const Value& value) {
  Printer printer(runtime);
  printer.print(value);
  return printer.take();
}

std::string str(Runtime& runtime, const Value& value) {
  if (value.is_text()) {
    runtime.charge_bytes(value.text().size());
    return value.text();
  }
  if (value.is_undefined()) return {};
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.boolean() ? "True" : "False";
  if (value.is_int()) return std::to_string(value.integral());
  if (value.is_float()) return float_repr(value.number());
  return repr(runtime, value);
}

StrView::StrView(Runtime& runtime, const Value& value) : keep_(value) {
  if (keep_.is_text()) {
    view_ = keep_.text();
  } else {
    made_ = str(runtime, value);
    view_ = made_;
  }
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace openllm::jinja

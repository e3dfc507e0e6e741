#include "jinja/syntax/string_literal.h"

#include <cctype>

#include "base/utf8.h"
#include "jinja/values/template_error.h"

namespace openllm::jinja {
namespace {

class Unescaper {
 public:
  explicit Unescaper(std::string_view literal) : text_(literal) {}

  std::string run() {
    while (pos_ < text_.size()) {
      const char c = text_[pos_++];
      if (c != '\\' || pos_ >= text_.size()) {
        flush();
        out_ += c;
      } else {
        escape(text_[pos_++]);
      }
    }
    flush();
    return std::move(out_);
  }

 private:
  void escape(char c) {
    constexpr std::string_view kLetters = "abfnrtv";
    constexpr std::string_view kControls = "\a\b\f\n\r\t\v";
    const std::size_t simple = kLetters.find(c);
    if (c == 'x' || c == 'u' || c == 'U') return put(hex(c == 'x' ? 2 : c == 'u' ? 4 : 8));
    if (c >= '0' && c <= '7') return put(octal(c));
    flush();
    if (c == '\n') return;
    if (c == 'N') fail("character names are unsupported in text literals");
    if (simple != std::string_view::npos) {
      out_ += kControls[simple];
    } else if (c == '\\' || c == '\'' || c == '"') {
      out_ += c;
    } else {
      out_ += '\\';
      out_ += c;
    }
  }
  char32_t octal(char first) {
    char32_t value = static_cast<char32_t>(first - '0');
    for (int n = 1; n < 3 && pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '7'; ++n) {
      value = value * 8 + static_cast<char32_t>(text_[pos_++] - '0');
    }
    return value;
  }
  char32_t hex(int digits) {
    char32_t value = 0;
    for (int n = 0; n < digits; ++n) {
      const char c = pos_ < text_.size() ? text_[pos_] : ' ';
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0)
        fail("truncated escape in a text literal");
      const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
      value = value * 16 + static_cast<char32_t>(digit);
      ++pos_;
    }
    if (value > 0x10FFFF) fail("illegal Unicode character in a text literal");
    return value;
  }
  /// Two escapes may make up one character, as surrogates.
  void put(char32_t c) {
    const bool low = c >= 0xDC00 && c <= 0xDFFF;
    if (low && high_ != 0) {
      base::append_utf8(out_, 0x10000 + ((high_ - 0xD800) << 10U) + (c - 0xDC00));
      high_ = 0;
      return;
    }
    flush();
    if (c >= 0xD800 && c <= 0xDBFF) {
      high_ = c;
    } else {
      base::append_utf8(out_, c);
    }
  }
  void flush() {
    if (high_ != 0) base::append_utf8(out_, base::kReplacement);
    high_ = 0;
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  char32_t high_ = 0;
  std::string out_;
};

}  // namespace

std::string unescape(std::string_view literal) { return Unescaper(literal).run(); }

}  // namespace openllm::jinja

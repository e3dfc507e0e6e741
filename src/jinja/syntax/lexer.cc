#include <algorithm>
#include <cctype>
#include <optional>

#include "base/utf8.h"
#include "jinja/syntax/string_literal.h"
#include "jinja/syntax/token.h"
#include "jinja/text/text.h"
#include "jinja/values/template_error.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kMaxTokens = 1'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Newlines as \n; one at the end is dropped (Jinja's keep_trailing_newline=False).
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, int& line)
      : source_(normalize(source)), text_(source_), line_(line) {}

  std::vector<Token> run() {
    line_ = 1;
    while (pos_ < text_.size()) root();
    add(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  bool at(std::string_view what, std::size_t pos) const {
    return text_.substr(std::min(pos, text_.size()), what.size()) == what;
  }
  bool at(std::string_view what) const { return at(what, pos_); }

  void add(TokenKind kind, std::string text) {
    if (tokens_.size() >= kMaxTokens) {
      fail("the template is too long (expected at most ", kMaxTokens, " tokens)");
    }
    tokens_.push_back({kind, line_, std::move(text)});
  }
  void advance_to(std::size_t pos) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(pos), '\n'));
    line_starting_ = pos > pos_ ? text_[pos - 1] == '\n' : line_starting_;
    pos_ = pos;
  }
  std::size_t skip_space(std::size_t pos) const {
    return pos + text::leading_space(text_.substr(std::min(pos, text_.size())));
  }

  /// Text up to the next tag, then the tag.
  void root() {
    std::size_t begin = text_.find('{', pos_);
    while (begin != std::string_view::npos && !at("{%", begin) && !at("{{", begin) &&
           !at("{#", begin)) {
      begin = text_.find('{', begin + 1);
    }
    if (begin == std::string_view::npos) {
      add(TokenKind::kData, std::string(text_.substr(pos_)));
      advance_to(text_.size());
      return;
    }
    const char sign = begin + 2 < text_.size() ? text_[begin + 2] : ' ';
    add_data(begin, sign, text_[begin + 1] == '{');
    const std::size_t after = begin + 2 + (sign == '-' || sign == '+' ? 1U : 0U);
    if (text_[begin + 1] == '#') {
      comment(after);
    } else if (text_[begin + 1] == '{') {
      tag(after, TokenKind::kPrintBegin, TokenKind::kPrintEnd, "}}");
    } else if (const auto body = raw_body(after)) {
      raw(*body);
    } else {
      tag(after, TokenKind::kBlockBegin, TokenKind::kBlockEnd, "%}");
    }
  }

  void add_data(std::size_t end, char sign, bool is_print) {
    std::string_view data = text_.substr(pos_, end - pos_);
    if (sign == '-') {
      data.remove_suffix(text::trailing_space(data));
    } else if (sign != '+' && !is_print) {
      const std::size_t newline = data.rfind('\n');
      const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) &&
          text::leading_space(data.substr(start)) == data.size() - start) {
        data = data.substr(0, start);
      }
    }
    if (!data.empty()) add(TokenKind::kData, std::string(data));
    advance_to(end);
  }

  /// Position behind the end of a block tag at `pos`, its white space control included; nothing if
  /// none is there.
  std::optional<std::size_t> block_end(std::size_t pos, std::string_view close) const {
    if (at("-", pos) && at(close, pos + 1)) return skip_space(pos + 1 + close.size());
    const bool plus = close != "}}" && at("+", pos);
    if (!at(close, pos + (plus ? 1U : 0U))) return std::nullopt;
    const std::size_t end = pos + close.size() + (plus ? 1U : 0U);
    return close != "}}" && !plus && at("\n", end) ? end + 1 : end;
  }

  void comment(std::size_t body) {
    const std::size_t close = text_.find("#}", body);
    if (close == std::string_view::npos && body >= text_.size()) return advance_to(text_.size());
    if (close == std::string_view::npos) fail("Missing end of comment tag");
    std::size_t end = close;
    if (close > body && (text_[close - 1] == '-' || text_[close - 1] == '+')) --end;
    advance_to(*block_end(end, "#}"));
  }

  /// Where the text of a raw block begins, if the tag at `pos` opens one.
  std::optional<std::size_t> raw_body(std::size_t pos) const {
    pos = skip_space(pos);
    if (!at("raw", pos)) return std::nullopt;
    pos = skip_space(pos + 3);
    if (at("-%}", pos)) return skip_space(pos + 3);
    return at("%}", pos) ? std::optional<std::size_t>(pos + 2) : std::nullopt;
  }

  void raw(std::size_t body) {
    advance_to(body);
    if (body >= text_.size()) return;  // as Jinja: nothing is missing when nothing follows
    for (std::size_t open = text_.find("{%", pos_); open != std::string_view::npos;
         open = text_.find("{%", open + 1)) {
      const char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
      std::size_t pos = skip_space(open + 2 + (sign == '-' || sign == '+' ? 1U : 0U));
      if (!at("endraw", pos)) continue;
      pos = skip_space(pos + 6);
      const auto end = block_end(pos, "%}");
      if (!end) continue;
      add_data(open, sign, false);
      advance_to(*end);
      return;
    }
    fail("Missing end of raw directive");
  }

  void tag(std::size_t body, TokenKind begin, TokenKind end, std::string_view close) {
    add(begin, {});
    advance_to(body);
    open_.clear();
    while (pos_ < text_.size()) {
      if (open_.empty()) {
        if (const auto after = block_end(pos_, close)) {
          add(end, {});
          advance_to(*after);
          return;
        }
      }
      const std::size_t space = skip_space(pos_);
      if (space > pos_) {
        advance_to(space);
      } else {
        token();
      }
    }
  }

  void token() {
    const char c = text_[pos_];
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return string(c);
    std::size_t end = pos_;
    while (end < text_.size()) {
      std::size_t next = end;
      if (!text::is_word(base::decode_utf8(text_, next))) break;
      end = next;
    }
    if (end == pos_) return op();
    add(TokenKind::kName, std::string(text_.substr(pos_, end - pos_)));
    advance_to(end);
  }

  /// Digits with single underscores between them; `valid` says what a digit is.
  template <typename Valid>
  std::size_t digits(std::size_t pos, Valid valid) const {
    while (pos < text_.size() &&
           (valid(text_[pos]) ||
            (text_[pos] == '_' && pos + 1 < text_.size() && valid(text_[pos + 1])))) {
      ++pos;
    }
    return pos;
  }

  void number() {
    std::size_t end = digits(pos_, is_digit);
    bool is_float = false;
    if (pos_ == 0 || text_[pos_ - 1] != '.') {
      if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
        end = digits(end + 1, is_digit);
        is_float = true;
      }
      if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
        std::size_t exponent = end + 1;
        if (at("+", exponent) || at("-", exponent)) ++exponent;
        if (exponent < text_.size() && is_digit(text_[exponent])) {
          end = digits(exponent, is_digit);
          is_float = true;
        }
      }
    }
    if (!is_float) end = integer_end();
    std::string text(text_.substr(pos_, end - pos_));
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
    advance_to(end);
  }

  std::size_t integer_end() const {
    if (text_[pos_] != '0') return digits(pos_, is_digit);
    const auto prefixed = [this](char letter, auto valid) -> std::optional<std::size_t> {
      if (pos_ + 1 >= text_.size() ||
          std::tolower(static_cast<unsigned char>(text_[pos_ + 1])) != letter) {
        return std::nullopt;
      }
      const std::size_t end = digits(pos_ + 2, valid);
      return end > pos_ + 2 ? std::optional<std::size_t>(end) : std::nullopt;
    };
    if (const auto end = prefixed('b', [](char c) { return c == '0' || c == '1'; })) return *end;
    if (const auto end = prefixed('o', [](char c) { return c >= '0' && c <= '7'; })) return *end;
    if (const auto end = prefixed(
            'x', [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; })) {
      return *end;
    }
    return digits(pos_, [](char c) { return c == '0'; });
  }

  void string(char quote) {
    std::size_t end = pos_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2U : 1U;
    if (end >= text_.size()) fail("unexpected char ", repr_char(pos_), " at ", pos_);
    add(TokenKind::kText, unescape(text_.substr(pos_ + 1, end - pos_ - 1)));
    advance_to(end + 1);
  }

  std::string repr_char(std::size_t pos) const {
    std::size_t end = pos;
    base::decode_utf8(text_, end);
    return base::cat("'", text_.substr(pos, end - pos), "'");
  }

  void op() {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                               "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                               ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const std::string_view candidate : kOperators) {
      if (!at(candidate)) continue;
      balance(candidate);
      add(TokenKind::kOperator, std::string(candidate));
      advance_to(pos_ + candidate.size());
      return;
    }
    fail("unexpected char ", repr_char(pos_), " at ", pos_);
  }

  void balance(std::string_view op) {
    if (op == "(") open_ += ')';
    if (op == "[") open_ += ']';
    if (op == "{") open_ += '}';
    if (op != ")" && op != "]" && op != "}") return;
    if (open_.empty()) fail("unexpected '", op, "'");
    if (open_.back() != op[0]) fail("unexpected '", op, "', expected '", open_.back(), "'");
    open_.pop_back();
  }

  std::string source_;
  std::string_view text_;
  int& line_;
  std::size_t pos_ = 0;
  bool line_starting_ = true;
  std::string open_;  // brackets to be closed inside the current tag
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, int& line) {
  return Lexer(source, line).run();
}

}  // namespace openllm::jinja

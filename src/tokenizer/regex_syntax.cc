#include "tokenizer/regex_syntax.h"

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

// White_Space of Unicode and its complement, as class items.
constexpr std::string_view kSpace =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{N}\p{Pc})";
constexpr std::string_view kHex = "0-9a-fA-F";

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : in_(pattern), where_(where) {}

  std::string run() {
    while (pos_ < in_.size()) {
      if (in_[pos_] == '\\') {
        out_ += escape(false);
      } else if (in_[pos_] == '[') {
        out_ += char_class();
      } else {
        out_ += in_[pos_++];
      }
    }
    return std::move(out_);
  }

 private:
  /// The escape at pos_, translated.
  std::string escape(bool in_class) {
    const char kind = pos_ + 1 < in_.size() ? in_[pos_ + 1] : '\0';
    const std::string original(in_.substr(pos_, 2));
    pos_ += original.size();
    const auto set = [&](std::string_view items, bool negated) {
      if (in_class) return std::string(items);
      return base::cat(negated ? "[^" : "[", items, "]");
    };
    switch (kind) {
      case 's':
        return set(kSpace, false);
      case 'S':
        return in_class ? std::string(kNotSpace) : set(kSpace, true);
      case 'w':
        return set(kWord, false);
      case 'W':
        return in_class ? original : set(kWord, true);
      case 'h':
        return set(kHex, false);
      case 'H':
        if (in_class) unsupported("\\H in a class");
        return set(kHex, true);
      case 'Q':  // Oniguruma's Ruby syntax has no quoting: a plain Q.
        return "Q";
      case 'C':
        unsupported("\\C");
      default:
        return original;
    }
  }

  /// The class that starts at pos_.
  std::string char_class() {
    ++pos_;
    std::string head = "[";
    if (pos_ < in_.size() && in_[pos_] == '^') head += in_[pos_++];
    std::string items;
    bool first = true;
    while (pos_ < in_.size() && (in_[pos_] != ']' || first)) {
      first = false;
      const std::string_view rest = in_.substr(pos_);
      if (rest.starts_with("&&")) return intersection(base::cat(head, items, "]"), head.size() > 1);
      if (rest.starts_with("[:")) {
        items += posix_class();
      } else if (rest[0] == '[') {
        unsupported("a class inside a class");
      } else if (rest[0] == '\\') {
        items += escape(true);
      } else {
        items += in_[pos_++];
      }
    }
    if (pos_ < in_.size())
      ++pos_;
    else
      unsupported("a class without end");
    return base::cat(head, items, "]");
  }

  std::string posix_class() {
    const std::size_t end = in_.find(":]", pos_);
    if (end == std::string_view::npos) unsupported("[: without :]");
    std::string text(in_.substr(pos_, end + 2 - pos_));
    pos_ = end + 2;
    return text;
  }

  /// `left` is the class before `&&`; pos_ is at `&&`. Only `[left&&[right]]`, not negated as a
  /// whole.
  std::string intersection(const std::string& left, bool negated) {
    pos_ += 2;
    if (negated || pos_ >= in_.size() || in_[pos_] != '[') unsupported("this class intersection");
    const std::string right = char_class();
    if (pos_ >= in_.size() || in_[pos_] != ']') unsupported("this class intersection");
    ++pos_;
    return base::cat("(?:(?=", right, ")", left, ")");
  }

  [[noreturn]] void unsupported(std::string_view what) const {
    base::fail(ErrorCode::kUnsupported, where_, ": regular expression with ", what);
  }

  std::string_view in_;
  std::string_view where_;
  std::size_t pos_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace openllm::tokenizer

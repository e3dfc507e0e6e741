#include "tokenizer/regex/regex_syntax.h"

#include <list>
#include <vector>

#include "base/error.h"
#include "tokenizer/regex/look_behind.h"
#include "tokenizer/regex/regex_sets.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kAnyChar = R"([\x00-\x{10ffff}])";
constexpr int kMaxClassDepth = 8;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string class_of(const CharSet& set) {
  return base::cat(set.negated ? "[^" : "[", set.items, "]");
}

/// A class without its negation: items of PCRE2, and patterns of one character each.
struct ClassUnion {
  std::string items;
  std::vector<std::string> others;

  void add(const CharSet& set) { set.negated ? others.push_back(class_of(set)) : add(set.items); }
  void add(std::string_view more) { items += more; }
  bool empty() const { return items.empty() && others.empty(); }
  std::string pattern() const {
    std::string plain = items.empty() ? std::string() : base::cat("[", items, "]");
    if (others.empty()) return plain;
    std::string out = base::cat("(?:", plain);
    for (std::size_t i = 0; i < others.size(); ++i)
      out += base::cat(i == 0 && plain.empty() ? "" : "|", others[i]);
    return out + ")";
  }
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : in_(pattern), where_(where) {}

  std::string run() {
    while (pos_ < in_.size()) step();
    if (groups_.size() != 1) unsupported("a group without end");
    out_.append(groups_[0].open_options, ')');
    return std::move(out_);
  }

 private:
  struct Group {
    std::size_t begin = 0;         // in out_
    std::size_t open_options = 0;  // groups opened for `(?i)` that end with this one
  };

  char peek(std::size_t ahead = 0) const noexcept {
    return pos_ + ahead < in_.size() ? in_[pos_ + ahead] : '\0';
  }
  std::string_view rest() const noexcept { return in_.substr(pos_); }

  void atom(std::string_view text) {
    atom_begin_ = out_.size();
    out_ += text;
  }

  void step() {
    switch (peek()) {
      case '\\':
        return atom(escape());
      case '[':
        return atom(char_class(0));
      case '(':
        return open_group();
      case ')':
        return close_group();
      case '*':
      case '+':
      case '?':
        return quantifier(std::string(1, in_[pos_++]), false);
      case '{':
        return brace();
      default: {
        // All bytes of a character.
        const std::size_t begin = pos_++;
        while (pos_ < in_.size() && (static_cast<unsigned char>(in_[pos_]) & 0xC0U) == 0x80U)
          ++pos_;
        return atom(in_.substr(begin, pos_ - begin));
      }
    }
  }

  // ---- repetition

  /// An interval, or a plain brace.
  void brace() {
    std::size_t end = pos_ + 1;
    std::string low, high;
    bool comma = false;
    for (; end < in_.size() && (is_digit(in_[end]) || (in_[end] == ',' && !comma)); ++end) {
      if (in_[end] == ',') {
        comma = true;
      } else {
        (comma ? high : low) += in_[end];
      }
    }
    const bool closed = end < in_.size() && in_[end] == '}';
    if (!closed || (low.empty() && high.empty())) {
      ++pos_;
      return atom("\\{");
    }
    pos_ = end + 1;
    if (low.empty()) low = "0";
    quantifier(comma ? base::cat("{", low, ",", high, "}") : base::cat("{", low, "}"), !comma);
  }

  /// `exact`: {n}, which has no lazy form.
  void quantifier(const std::string& text, bool exact) {
    out_ += text;
    const bool interval = text[0] == '{';
    const bool lazy = peek() == '?' && !exact;
    const bool possessive = peek() == '+' && !interval;
    if (lazy || possessive) out_ += in_[pos_++];
    const char next = peek();
    if (next != '*' && next != '+' && next != '?' && next != '{') return;
    out_.insert(atom_begin_, "(?:");
    out_ += ')';
  }

  // ---- groups

  void open_group() {
    const std::size_t begin = out_.size();
    if (rest().starts_with("(*")) unsupported("(*");
    if (!rest().starts_with("(?")) {
      ++pos_;
      out_ += '(';
      groups_.push_back({begin});
      return;
    }
    if (rest().starts_with("(?#")) {
      while (pos_ < in_.size() && in_[pos_] != ')') pos_ += in_[pos_] == '\\' ? 2 : 1;
      if (pos_ >= in_.size()) unsupported("a comment without end");
      ++pos_;
      return;
    }
    for (const std::string_view head : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (!rest().starts_with(head)) continue;
      pos_ += head.size();
      out_ += head;
      if (head.starts_with("(?<")) fix_look_behind();
      groups_.push_back({begin});
      return;
    }
    if (rest().starts_with("(?<") || rest().starts_with("(?'")) {
      const std::size_t end = in_.find(peek(2) == '<' ? '>' : '\'', pos_ + 3);
      if (end == std::string_view::npos) unsupported("a group name without end");
      out_ += in_.substr(pos_, end + 1 - pos_);
      pos_ = end + 1;
      groups_.push_back({begin});
      return;
    }
    options(begin);
  }

  void fix_look_behind() {
    const auto fixed = rewrite_look_behind(in_, pos_);
    if (!fixed) return;
    rewritten_.push_back(base::cat(in_.substr(0, pos_), fixed->text, in_.substr(fixed->end)));
    in_ = rewritten_.back();
  }

  /// `(?i-m)` and `(?i-m:`
  void options(std::size_t begin) {
    pos_ += 2;
    std::string flags;
    for (; peek() == 'i' || peek() == 'm' || peek() == '-'; ++pos_)
      flags += peek() == 'm' ? 's' : peek();
    if (peek() != ':' && peek() != ')') unsupported(base::cat("(?", peek()));
    out_ += base::cat("(?", flags, ":");
    if (in_[pos_++] == ':') {
      groups_.push_back({begin});
    } else {
      ++groups_.back().open_options;
    }
  }

  void close_group() {
    if (groups_.size() == 1) unsupported("a ) too many");
    ++pos_;
    out_.append(groups_.back().open_options + 1, ')');
    atom_begin_ = groups_.back().begin;
    groups_.pop_back();
  }

  // ---- escapes

  /// The set of characters at pos_, if there is one; moves past it.
  std::optional<CharSet> escaped_set(bool in_class) {
    const char kind = peek(1);
    if (auto set = find_shorthand(kind, in_class)) {
      pos_ += 2;
      return set;
    }
    if ((kind != 'p' && kind != 'P') || peek(2) != '{') return std::nullopt;
    const std::size_t end = in_.find('}', pos_);
    if (end == std::string_view::npos) unsupported("\\p{ without }");
    CharSet set = property_set(in_.substr(pos_ + 3, end - pos_ - 3));
    if (kind == 'P') set.negated = !set.negated;
    pos_ = end + 1;
    return set;
  }

  /// The escape at pos_, outside of a class.
  std::string escape() {
    if (const auto set = escaped_set(false)) return class_of(*set);
    const char kind = peek(1);
    if (kind == 'b' || kind == 'B') {
      pos_ += 2;
      const std::string word = class_of(*find_shorthand('w', false));
      return kind == 'b'
                 ? base::cat("(?:(?<=", word, ")(?!", word, ")|(?<!", word, ")(?=", word, "))")
                 : base::cat("(?:(?<=", word, ")(?=", word, ")|(?<!", word, ")(?!", word, "))");
    }
    if (kind == 'O') {
      pos_ += 2;
      return std::string(kAnyChar);
    }
    if ((kind == 'k' || kind == 'g') && peek(2) == '<') {
      const std::size_t end = in_.find('>', pos_);
      if (end == std::string_view::npos) unsupported("a name without end");
      std::string text(in_.substr(pos_, end + 1 - pos_));
      pos_ = end + 1;
      return text;
    }
    return escaped_char();
  }

  /// An escape that means the same inside and outside of a class.
  std::string escaped_char() {
    const char kind = peek(1);
    std::string original(in_.substr(pos_, 2));
    if (kind == 'x') return hex_escape();
    pos_ += original.size();
    switch (kind) {
      case 'u':
        return base::cat("\\x{", hex_digits(4, 4), "}");
      case 'v':
        return "\\x0b";
      case 'p':
      case 'P':
      case 'Q':  // Oniguruma's Ruby syntax has no quoting.
      case 'E':
        return std::string(1, kind);
      case 'C':
      case 'M':
      case 'o':
      case 'y':
      case 'Y':
        unsupported(original);
      default:
        break;
    }
    if (is_digit(kind)) {
      std::string number = original;
      while (is_digit(peek())) number += in_[pos_++];
      return number;
    }
    if ((static_cast<unsigned char>(kind) & 0x80U) == 0) return original;
    pos_ -= 1;  // an escaped character outside of ASCII is that character
    return {};
  }

  std::string hex_escape() {
    pos_ += 2;
    if (peek() == '{') {
      ++pos_;
      const std::string digits = hex_digits(1, 8);
      if (peek() != '}') unsupported("\\x{ without }");
      ++pos_;
      return base::cat("\\x{", digits, "}");
    }
    const std::string digits = hex_digits(1, 2);
    // Oniguruma takes these as bytes of UTF-8.
    if (digits.size() == 2 && digits[0] >= '8') unsupported("\\x of a byte above 7F");
    return base::cat("\\x{", digits, "}");
  }

  std::string hex_digits(std::size_t at_least, std::size_t at_most) {
    std::string digits;
    while (digits.size() < at_most && is_hex_digit(peek())) digits += in_[pos_++];
    if (digits.size() < at_least) unsupported("too few hexadecimal digits");
    return digits;
  }

  // ---- classes

  /// The class that starts at pos_, as a pattern of one character.
  std::string char_class(int depth) {
    if (depth > kMaxClassDepth) unsupported("classes nested too deep");
    ++pos_;
    const bool negated = peek() == '^';
    if (negated) ++pos_;
    std::vector<ClassUnion> parts(1);
    bool first = true;
    while (pos_ < in_.size() && (in_[pos_] != ']' || first)) {
      if (rest().starts_with("&&")) {
        pos_ += 2;
        parts.emplace_back();
      } else {
        class_item(parts.back(), depth);
      }
      first = false;
    }
    if (pos_ >= in_.size()) unsupported("a class without end");
    ++pos_;
    for (const ClassUnion& part : parts) {
      if (part.empty()) unsupported("an empty class");
    }
    if (parts.size() == 1 && parts[0].others.empty())
      return base::cat(negated ? "[^" : "[", parts[0].items, "]");
    std::string all;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      all += base::cat("(?=", parts[i].pattern(), ")");
    all = base::cat("(?:", all, parts.back().pattern(), ")");
    return negated ? base::cat("(?:(?!", all, ")", kAnyChar, ")") : all;
  }

  void class_item(ClassUnion& out, int depth) {
    if (rest().starts_with("[:")) {
      if (const auto set = posix_set()) return add_set(out, *set);
    }
    if (peek() == '[') return out.others.push_back(char_class(depth + 1));
    if (peek() != '\\') {
      out.items += in_[pos_++];
      return;
    }
    if (const auto set = escaped_set(true)) return add_set(out, *set);
    out.items += escaped_char();
  }

  /// A dash behind a set is a dash.
  void add_set(ClassUnion& out, const CharSet& set) {
    out.add(set);
    if (peek() != '-' || peek(1) == ']') return;
    ++pos_;
    out.items += "\\-";
  }

  std::optional<CharSet> posix_set() {
    const std::size_t end = in_.find(":]", pos_);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view name = in_.substr(pos_ + 2, end - pos_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    auto set = find_posix_set(name);
    if (!set) return std::nullopt;
    set->negated = negated;
    pos_ = end + 2;
    return set;
  }

  [[noreturn]] void unsupported(std::string_view what) const {
    base::fail(ErrorCode::kUnsupported, where_, ": regular expression with ", what);
  }

  std::string_view in_;
  std::list<std::string> rewritten_;  // what in_ looks at
  std::string_view where_;
  std::size_t pos_ = 0;
  std::string out_;
  std::size_t atom_begin_ = 0;
  std::vector<Group> groups_{Group{}};
};

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace openllm::tokenizer

#include "tokenizer/regex/look_behind.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxAlternatives = 64;
constexpr int kMaxCount = 64;
constexpr int kEndless = -1;
constexpr int kMaxDepth = 32;

/// A part of a pattern and how often it comes.
struct Part {
  std::string_view text;
  int least = 1;
  int most = 1;
  bool is_place = false;  // matches no character
  bool is_fixed() const noexcept { return least == most; }
};

class Reader {
 public:
  Reader(std::string_view pattern, std::size_t at) : in_(pattern), at_(at) {}

  std::size_t at() const noexcept { return at_; }
  bool ended() const noexcept { return at_ >= in_.size(); }
  char peek() const noexcept { return ended() ? '\0' : in_[at_]; }
  void skip() noexcept { ++at_; }

  /// The part at hand; nothing for what is not understood.
  std::optional<Part> next_part() {
    const std::size_t begin = at_;
    Part part;
    if (!skip_atom(0)) return std::nullopt;
    part.text = in_.substr(begin, at_ - begin);
    part.is_place = part.text == "^" || part.text == "$" ||
                    (part.text.starts_with("(?") && !part.text.starts_with("(?:")) ||
                    (part.text.size() == 2 && part.text[0] == '\\' &&
                     std::string_view("bBAGzZ").find(part.text[1]) != std::string_view::npos);
    if (!read_count(part)) return std::nullopt;
    return part;
  }

 private:
  bool skip_atom(int depth) {
    if (ended() || depth > kMaxDepth) return false;
    const char c = in_[at_];
    if (c == '\\') return skip_escape();
    if (c == '[') return skip_class(depth);
    if (c == '(') return skip_group(depth);
    if (c == '*' || c == '+' || c == '?' || c == '{') return false;
    ++at_;
    while (!ended() && (static_cast<unsigned char>(in_[at_]) & 0xC0U) == 0x80U) ++at_;
    return true;
  }

  bool skip_escape() {
    if (at_ + 1 >= in_.size()) return false;
    const char kind = in_[at_ + 1];
    at_ += 2;
    if ((kind == 'p' || kind == 'P' || kind == 'x') && peek() == '{') {
      at_ = in_.find('}', at_);
      if (at_ == std::string_view::npos) return false;
      ++at_;
      return true;
    }
    const std::size_t n_digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 0;
    for (std::size_t i = 0; i < n_digits && !ended() && std::isxdigit(peek()) != 0; ++i) ++at_;
    // References and calls repeat texts of any length.
    return !(kind >= '1' && kind <= '9') && kind != 'k' && kind != 'g' && kind != 'R' &&
           kind != 'X';
  }

  bool skip_class(int depth) {
    ++at_;
    if (peek() == '^') ++at_;
    for (bool first = true; !ended() && (peek() != ']' || first); first = false) {
      if (peek() == '[') {
        if (depth >= kMaxDepth || !skip_class(depth + 1)) return false;
      } else if (peek() == '\\') {
        if (!skip_escape()) return false;
      } else {
        ++at_;
      }
    }
    if (ended()) return false;
    ++at_;
    return true;
  }

  /// Whatever is in it; only groups of one length can be repeated a number of times.
  bool skip_group(int depth) {
    ++at_;
    while (!ended() && peek() != ')') {
      if (peek() == '|' || peek() == '?' || peek() == ':' || peek() == '=' || peek() == '!' ||
          peek() == '<' || peek() == '>') {
        ++at_;
        continue;
      }
      if (peek() == '*' || peek() == '+' || peek() == '{') return false;
      if (!skip_atom(depth + 1)) return false;
      if (peek() == '?') return false;
    }
    if (ended()) return false;
    ++at_;
    return true;
  }

  bool read_count(Part& part) {
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') {
      ++at_;
      part.least = c == '+' ? 1 : 0;
      part.most = c == '?' ? 1 : kEndless;
    } else if (c == '{') {
      if (!read_interval(part)) return false;
    } else {
      return true;
    }
    if (peek() == '?') ++at_;  // lazy: the same to a look-behind
    return peek() != '*' && peek() != '+' && peek() != '?' && peek() != '{' && !part.is_place;
  }

  bool read_interval(Part& part) {
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return false;
    const std::string_view body = in_.substr(at_ + 1, end - at_ - 1);
    const std::size_t comma = body.find(',');
    const auto number = [](std::string_view text, int absent) -> std::optional<int> {
      if (text.empty()) return absent;
      int value = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
      const bool good = result.ec == std::errc() && result.ptr == text.data() + text.size();
      return good && value >= 0 && value <= kMaxCount ? std::optional(value) : std::nullopt;
    };
    const auto least = number(body.substr(0, comma), 0);
    const auto most =
        comma == std::string_view::npos ? least : number(body.substr(comma + 1), kEndless);
    if (!least || !most || body.empty() || body == "," || (*most != kEndless && *most < *least))
      return false;
    part.least = *least;
    part.most = *most;
    at_ = end + 1;
    return true;
  }

  std::string_view in_;
  std::size_t at_;
};

/// What may come more often before everything else comes as seldom as it may.
void cut_beginning(std::vector<Part>& parts) {
  for (Part& part : parts) {
    if (part.is_place) return;
    const bool was_fixed = part.is_fixed();
    part.most = part.least;
    if (was_fixed || part.least > 0) return;
  }
}

/// Appends the spellings of the parts with all numbers of repetitions.
bool count_out(const std::vector<Part>& parts, std::vector<std::string>& out) {
  std::vector<std::string> spelled{""};
  for (const Part& part : parts) {
    if (part.most == kEndless) return false;
    std::vector<std::string> longer;
    for (int n = part.least; n <= part.most; ++n) {
      const std::string more = n == 0   ? ""
                               : n == 1 ? std::string(part.text)
                                        : base::cat(part.text, "{", n, "}");
      for (const std::string& before : spelled) longer.push_back(before + more);
    }
    if (longer.size() > kMaxAlternatives) return false;
    spelled = std::move(longer);
  }
  out.insert(out.end(), spelled.begin(), spelled.end());
  return out.size() <= kMaxAlternatives;
}

}  // namespace

std::optional<LookBehind> rewrite_look_behind(std::string_view pattern, std::size_t begin) {
  Reader reader(pattern, begin);
  std::vector<std::string> alternatives;
  std::vector<Part> parts;
  bool varies = false;
  while (true) {
    if (reader.ended()) return std::nullopt;
    if (reader.peek() == '|' || reader.peek() == ')') {
      cut_beginning(parts);
      if (!count_out(parts, alternatives)) return std::nullopt;
      parts.clear();
      if (reader.peek() == ')') break;
      reader.skip();
      continue;
    }
    const auto part = reader.next_part();
    if (!part) return std::nullopt;
    varies = varies || !part->is_fixed();
    parts.push_back(*part);
  }
  if (!varies) return std::nullopt;
  LookBehind result{{}, reader.at()};
  for (std::size_t i = 0; i < alternatives.size(); ++i)
    result.text += (i == 0 ? "" : "|") + alternatives[i];
  return result;
}

}  // namespace openllm::tokenizer

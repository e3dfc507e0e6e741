#include "jinja/methods/split.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/text/text.h"

namespace openllm::jinja {
namespace {

bool reached(std::int64_t limit, std::size_t n) {
  return limit >= 0 && n >= static_cast<std::size_t>(limit);
}

/// End of the word that starts at `pos`.
std::size_t word_end(std::string_view text, std::size_t pos) {
  while (pos < text.size()) {
    std::size_t next = pos;
    if (text::is_space(base::decode_utf8(text, next))) break;
    pos = next;
  }
  return pos;
}

}  // namespace

std::vector<std::string_view> split_space(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text.remove_prefix(text::leading_space(text));
  while (!text.empty()) {
    if (reached(limit, parts.size())) {  // the rest keeps its white space at the far end
      parts.push_back(text);
      break;
    }
    const std::size_t end = word_end(text, 0);
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(text::leading_space(text));
  }
  return parts;
}

std::vector<std::string_view> rsplit_space(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text.remove_suffix(text::trailing_space(text));
  while (!text.empty()) {
    if (reached(limit, parts.size())) {
      parts.push_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      const std::size_t before = text::previous(text, begin);
      std::size_t pos = before;
      if (text::is_space(base::decode_utf8(text, pos))) break;
      begin = before;
    }
    parts.push_back(text.substr(begin));
    text.remove_suffix(text.size() - begin);
    text.remove_suffix(text::trailing_space(text));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_on(std::string_view text, std::string_view separator,
                                       std::int64_t limit) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  while (!reached(limit, parts.size())) {
    const std::size_t at = text::find(text, separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::size_t find_last(Runtime& runtime, std::string_view text, std::string_view needle,
                      std::size_t end) {
  if (needle.size() > end) return std::string_view::npos;
  if (needle.empty()) return end;
  for (std::size_t at = end - needle.size() + 1; at-- > 0;) {
    if (text[at] != needle[0]) continue;
    // Pay for the bytes that agree, so that long near misses cannot take quadratic time for free.
    std::size_t n = 1;
    while (n < needle.size() && text[at + n] == needle[n]) ++n;
    runtime.charge_bytes(n);
    if (n == needle.size()) return at;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> rsplit_on(Runtime& runtime, std::string_view text,
                                        std::string_view separator, std::int64_t limit) {
  std::vector<std::string_view> parts;
  std::size_t end = text.size();
  while (!reached(limit, parts.size())) {
    const std::size_t at = find_last(runtime, text, separator, end);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
    end = at;
  }
  parts.push_back(text.substr(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t end = pos;
    const char32_t c = base::decode_utf8(text, pos);
    if (!text::is_line_break(c)) continue;
    if (c == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    lines.push_back(text.substr(begin, (keep_ends ? pos : end) - begin));
    begin = pos;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace(Runtime& runtime, std::string_view text, std::string_view from,
                    std::string_view to, std::int64_t limit) {
  std::string out;
  std::size_t pos = 0;
  std::size_t done = 0;
  runtime.charge_bytes(text.size());
  const auto put = [&](std::string_view part) {
    out += part;
    runtime.check_growth(out);
  };
  while (!reached(limit, done)) {
    const std::size_t at = text::find(text, from, pos);
    if (at == std::string_view::npos) break;
    runtime.charge_bytes(to.size());
    put(text.substr(pos, at - pos));
    put(to);
    pos = at + from.size();
    ++done;
    if (!from.empty()) continue;
    // An empty pattern matches before every character and at the end.
    if (pos >= text.size()) break;
    const std::size_t n = text::width(text[pos]);
    put(text.substr(pos, n));
    pos += n;
  }
  put(text.substr(pos));
  return out;
}

std::string_view strip_chars(Runtime& runtime, std::string_view text, std::string_view chars,
                             bool left, bool right) {
  const std::u32string set = text::decode(chars);
  const auto listed = [&](char32_t c) {
    runtime.charge_bytes(set.size());
    return set.find(c) != std::u32string::npos;
  };
  while (left && !text.empty()) {
    std::size_t pos = 0;
    if (!listed(base::decode_utf8(text, pos))) break;
    text.remove_prefix(pos);
  }
  while (right && !text.empty()) {
    const std::size_t begin = text::previous(text, text.size());
    std::size_t pos = begin;
    if (!listed(base::decode_utf8(text, pos))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace openllm::jinja

#include "jinja/text/text.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/utf8.h"
#include "jinja/text/unicode_tables.h"

namespace openllm::jinja::text {
namespace {

template <typename Row, std::size_t N>
const Row* find_row(const Row (&table)[N], char32_t c) noexcept {
  const Row* row = std::lower_bound(table, table + N, c,
                                    [](const Row& r, char32_t value) { return r.last < value; });
  return row != table + N && row->first <= c ? row : nullptr;
}

template <std::size_t N>
const unicode::CaseRun* find_run(const unicode::CaseRun (&table)[N], char32_t c) noexcept {
  const unicode::CaseRun* run = find_row(table, c);
  return run != nullptr && (c - run->first) % run->stride == 0 ? run : nullptr;
}

template <std::size_t N>
char32_t convert(const unicode::CaseRun (&table)[N], char32_t c) noexcept {
  const unicode::CaseRun* run = find_run(table, c);
  if (run == nullptr) return c;
  return static_cast<char32_t>(static_cast<std::int64_t>(c) + run->delta);
}

constexpr char32_t kDottedI = 0x130;  // the one letter whose lower case has two characters
constexpr char32_t kSigma = 0x3A3;

/// Null for letters that are one letter in every case.
const unicode::LongCase* find_long_case(char32_t c) noexcept {
  const auto* end = std::end(unicode::kLongCases);
  const auto* found = std::lower_bound(
      std::begin(unicode::kLongCases), end, c,
      [](const unicode::LongCase& row, char32_t value) { return row.letter < value; });
  return found != end && found->letter == c ? found : nullptr;
}

void append_letters(std::string& out, const std::uint32_t (&letters)[3]) {
  for (const std::uint32_t letter : letters) {
    if (letter != 0) base::append_utf8(out, letter);
  }
}

/// Python writes a capital sigma at the end of a word as the final form.
bool is_final_sigma(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin == 0) return false;
  std::size_t before = previous(text, begin);
  if (!is_alpha(base::decode_utf8(text, before))) return false;
  return end >= text.size() || !is_alpha(base::decode_utf8(text, end));
}

void append_lower_at(std::string& out, std::string_view text, std::size_t begin, std::size_t end,
                     char32_t c) {
  if (c == kSigma && is_final_sigma(text, begin, end)) {
    base::append_utf8(out, 0x3C2);
  } else {
    append_lower(out, c);
  }
}

}  // namespace

bool is_space(char32_t c) noexcept {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) noexcept {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_upper(char32_t c) noexcept { return find_run(unicode::kUpper, c) != nullptr; }
bool is_lower(char32_t c) noexcept { return find_run(unicode::kLower, c) != nullptr; }
bool is_alpha(char32_t c) noexcept { return find_row(unicode::kAlpha, c) != nullptr; }
bool is_decimal(char32_t c) noexcept { return find_row(unicode::kDecimal, c) != nullptr; }
bool is_digit(char32_t c) noexcept { return find_row(unicode::kDigit, c) != nullptr; }
bool is_numeric(char32_t c) noexcept { return find_row(unicode::kNumeric, c) != nullptr; }
bool is_printable(char32_t c) noexcept { return find_row(unicode::kUnprintable, c) == nullptr; }
bool is_word(char32_t c) noexcept { return c == '_' || is_alpha(c) || is_numeric(c); }

void append_upper(std::string& out, char32_t c) {
  if (const auto* row = find_long_case(c)) return append_letters(out, row->upper);
  base::append_utf8(out, convert(unicode::kToUpper, c));
}

void append_lower(std::string& out, char32_t c) {
  if (c == kDottedI) {
    out += "i\xCC\x87";
  } else {
    base::append_utf8(out, convert(unicode::kToLower, c));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const auto* row = find_long_case(c)) return append_letters(out, row->title);
  base::append_utf8(out, convert(unicode::kToTitle, c));
}

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) append_upper(out, base::decode_utf8(text, pos));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const char32_t c = base::decode_utf8(text, pos);
    append_lower_at(out, text, begin, pos, c);
  }
  return out;
}

std::string casefold(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = base::decode_utf8(text, pos);
    if (const auto* row = find_long_case(c)) {
      append_letters(out, row->folded);
    } else if (find_run(unicode::kToFolded, c) != nullptr) {
      base::append_utf8(out, convert(unicode::kToFolded, c));
    } else {
      base::append_utf8(out, convert(unicode::kToLower, c));
    }
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const char32_t c = base::decode_utf8(text, pos);
    if (begin == 0) {
      append_title(out, c);
    } else {
      append_lower_at(out, text, begin, pos, c);
    }
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool inside = false;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const char32_t c = base::decode_utf8(text, pos);
    if (inside) {
      append_lower_at(out, text, begin, pos, c);
    } else {
      append_title(out, c);
    }
    inside = is_upper(c) || is_lower(c) || convert(unicode::kToLower, c) != c;
  }
  return out;
}

std::string swapcase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const char32_t c = base::decode_utf8(text, pos);
    if (is_upper(c)) {
      append_lower_at(out, text, begin, pos, c);
    } else if (is_lower(c)) {
      append_upper(out, c);
    } else {
      base::append_utf8(out, c);
    }
  }
  return out;
}

std::size_t length(std::string_view text) noexcept {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1U : 0U;
  return n;
}

std::size_t offset(std::string_view text, std::size_t index) noexcept {
  std::size_t pos = 0;
  for (; index > 0 && pos < text.size(); --index) pos += width(text[pos]);
  return std::min(pos, text.size());
}

std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) out.push_back(base::decode_utf8(text, pos));
  return out;
}

std::string encode(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) base::append_utf8(out, c);
  return out;
}

std::size_t find(std::string_view text, std::string_view needle, std::size_t from) noexcept {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  if (needle.size() > text.size() - from) return std::string_view::npos;
  // memmem is linear; string_view::find is not.
  const void* at = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

std::size_t leading_space(std::string_view text) noexcept {
  std::size_t pos = 0;
  while (pos < text.size()) {
    std::size_t next = pos;
    if (!is_space(base::decode_utf8(text, next))) break;
    pos = next;
  }
  return pos;
}

std::size_t trailing_space(std::string_view text) noexcept {
  std::size_t end = text.size();
  while (end > 0) {
    const std::size_t begin = previous(text, end);
    std::size_t pos = begin;
    if (!is_space(base::decode_utf8(text, pos))) break;
    end = begin;
  }
  return text.size() - end;
}

std::string_view strip(std::string_view text) noexcept {
  text.remove_prefix(leading_space(text));
  text.remove_suffix(trailing_space(text));
  return text;
}

}  // namespace openllm::jinja::text

#include "tokenizer/split/word_scanner.h"

#include <algorithm>
#include <array>

#include <unicode/uchar.h>

#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/unicode/unicode.h"
#include "tokenizer/unicode/unicode_additions.h"

namespace openllm::tokenizer {
namespace {

constexpr unsigned ascii_kind(unsigned char c) {
  if (c >= 'a' && c <= 'z') return kLetter | kLower;
  if (c >= 'A' && c <= 'Z') return kLetter | kUpper;
  if (c >= '0' && c <= '9') return kNumber;
  if (c == '\r' || c == '\n') return kSpace | kNewline;
  return c == ' ' || (c >= 9 && c <= 13) ? kSpace : 0U;
}

constexpr std::array<unsigned char, 128> kAsciiKinds = [] {
  std::array<unsigned char, 128> kinds{};
  for (unsigned char c = 0; c < 128; ++c) kinds[c] = static_cast<unsigned char>(ascii_kind(c));
  return kinds;
}();

/// Of a general category by its two letters.
unsigned category_kind(std::string_view category) noexcept {
  switch (category[0]) {
    case 'L':
      if (category == "Ll") return kLetter | kLower;
      return category == "Lu" || category == "Lt" ? kLetter | kUpper : kLetter;
    case 'N':
      return kNumber;
    case 'M':
      return kMark;
    default:
      return 0;
  }
}

/// Of characters that ICU does not know yet.
unsigned added_kind(char32_t code) noexcept {
  const auto ranges = added_categories();
  const auto range =
      std::lower_bound(ranges.begin(), ranges.end(), code,
                       [](const CategoryRange& each, char32_t value) { return each.last < value; });
  return range != ranges.end() && range->first <= code ? category_kind(range->category) : 0U;
}

/// The kind of the character at `at`; moves `at` behind it.
unsigned take_kind(std::string_view text, std::size_t& at) noexcept {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte >= 0x80) return char_kind(decode_long_char(text, at));
  ++at;
  return kAsciiKinds[byte];
}

/// The end of the characters of any of these kinds (or of none of them) at `at`.
template <unsigned kKinds, bool kWanted = true>
std::size_t skip(std::string_view text, std::size_t at) noexcept {
  while (at < text.size()) {
    std::size_t next = at;
    if (((take_kind(text, next) & kKinds) != 0) != kWanted) break;
    at = next;
  }
  return at;
}

/// Length of `'s|'t|'re|'ve|'m|'ll|'d` at `at`, where an apostrophe is; 0 if there is none.
template <bool kAnyCase>
std::size_t contraction(std::string_view text, std::size_t at) noexcept {
  const auto letter = [&](std::size_t i) {
    if (at + i >= text.size()) return '\0';
    const char c = text[at + i];
    return kAnyCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return letter(2) == 'e' ? 3 : 0;
    case 'l':
      return letter(2) == 'l' ? 3 : 0;
    case '\xC5':  // U+017F, another small s
      return kAnyCase && letter(2) == '\xBF' ? 3 : 0;
    default:
      return 0;
  }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`, without the first for kNewlines = false. White space is at `begin`.
template <bool kNewlines>
std::size_t scan_blanks(std::string_view text, std::size_t begin) noexcept {
  std::size_t last = begin;  // where the last one begins
  std::size_t behind_newline = begin;
  std::size_t at = begin;
  while (at < text.size()) {
    std::size_t next = at;
    const unsigned kind = take_kind(text, next);
    if ((kind & kSpace) == 0) break;
    last = at;
    at = next;
    if ((kind & kNewline) != 0) behind_newline = at;
  }
  if (kNewlines && behind_newline > begin) return behind_newline;
  return at < text.size() && last > begin ? last : at;  // the last one belongs to what follows
}

/// kGpt2Pattern.
std::size_t scan_gpt2(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    if (const std::size_t length = contraction<false>(text, begin)) return begin + length;
  }
  std::size_t at = begin;
  unsigned kind = take_kind(text, at);
  if (text[begin] == ' ' && at < text.size()) kind = take_kind(text, at);
  if ((kind & kSpace) != 0) return scan_blanks<false>(text, begin);
  if ((kind & kLetter) != 0) return skip<kLetter>(text, at);
  if ((kind & kNumber) != 0) return skip<kNumber>(text, at);
  return skip<kLetter | kNumber | kSpace, false>(text, at);
}

/// Up to kMax numbers of which the first ends at `at`.
template <int kMax>
std::size_t scan_numbers(std::string_view text, std::size_t at) noexcept {
  for (int n = 1; n < kMax && at < text.size(); ++n) {
    std::size_t next = at;
    if ((take_kind(text, next) & kNumber) == 0) break;
    at = next;
  }
  return at;
}

/// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` where neither a word nor a number begins;
/// kSlashes: slashes stand with the newlines behind others.
template <unsigned kWord, bool kSlashes>
std::size_t scan_rest(std::string_view text, std::size_t begin) noexcept {
  constexpr unsigned kNotOther = kWord | kNumber | kSpace;
  std::size_t at = begin;
  unsigned kind = take_kind(text, at);
  if (text[begin] == ' ' && at < text.size()) kind = take_kind(text, at);
  if ((kind & kNotOther) != 0) return scan_blanks<true>(text, begin);
  at = skip<kNotOther, false>(text, at);
  while (at < text.size() &&
         (text[at] == '\n' || text[at] == '\r' || (kSlashes && text[at] == '/')))
    ++at;
  return at;
}

/// The patterns of Llama 3 (three digits) and Qwen 2 (one); of Qwen 3.5, where marks are letters.
template <int kDigits, unsigned kWord>
std::size_t scan_llama3(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    if (const std::size_t length = contraction<true>(text, begin)) return begin + length;
  }
  std::size_t at = begin;
  const unsigned kind = take_kind(text, at);
  if ((kind & kWord) != 0) return skip<kWord>(text, at);
  if ((kind & kNumber) != 0) return scan_numbers<kDigits>(text, at);
  if ((kind & kNewline) == 0 && at < text.size()) {
    std::size_t behind = at;
    if ((take_kind(text, behind) & kWord) != 0) return skip<kWord>(text, behind);
  }
  return scan_rest<kWord, false>(text, begin);
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`; characters of both have no
/// case.
bool is_not_lower(unsigned kind) noexcept {
  return (kind & (kLetter | kMark)) != 0 && (kind & kLower) == 0;
}
bool is_not_upper(unsigned kind) noexcept {
  return (kind & (kLetter | kMark)) != 0 && (kind & kUpper) == 0;
}

/// A word in capitals and what the two alternatives for words match of it.
struct CasedWord {
  std::size_t with_lower;  // the end for `U*L+`; where it begins if that does not match
  std::size_t capitals;    // the end for `U+L*` where `U*L+` does not match
};

CasedWord scan_cased(std::string_view text, std::size_t begin) noexcept {
  std::size_t caseless_end = begin;  // of the last character that is of both sets
  std::size_t at = begin;
  while (at < text.size()) {
    std::size_t next = at;
    const unsigned kind = take_kind(text, next);
    if ((kind & kLower) != 0) {
      // The first that is of the second set alone: what follows of that set belongs to the word.
      for (at = next; at < text.size(); at = next) {
        if (!is_not_upper(take_kind(text, next))) break;
      }
      return {at, at};
    }
    if (!is_not_lower(kind)) break;
    at = next;
    if (is_not_upper(kind)) caseless_end = at;
  }
  return {caseless_end, at};
}

/// The patterns of GPT-4o (three digits, contractions) and Tekken (one digit, none).
template <int kDigits, bool kContractions>
std::size_t scan_o200k(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  const unsigned kind = take_kind(text, at);
  const bool may_be_prefix = (kind & (kNewline | kLetter | kNumber)) == 0;
  const CasedWord behind = may_be_prefix ? scan_cased(text, at) : CasedWord{at, at};
  const CasedWord here = scan_cased(text, begin);
  std::size_t end = begin;
  if (behind.with_lower > at) {
    end = behind.with_lower;
  } else if (here.with_lower > begin) {
    end = here.with_lower;
  } else if (behind.capitals > at) {
    end = behind.capitals;
  } else {
    end = here.capitals;
  }
  if (end > begin) {
    const bool has_apostrophe = kContractions && end < text.size() && text[end] == '\'';
    return has_apostrophe ? end + contraction<true>(text, end) : end;
  }
  if ((kind & kNumber) != 0) return scan_numbers<kDigits>(text, at);
  return scan_rest<kLetter, true>(text, begin);
}

/// `\p{N}`
std::size_t scan_number(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  return (take_kind(text, at) & kNumber) != 0 ? at : skip<kNumber, false>(text, at);
}

/// Runs of `\p{N}` in groups of three, counted from the end. Behind a group only whole ones follow.
std::size_t scan_number_groups(std::string_view text, std::size_t begin) {
  const auto is_number = [&](std::size_t at) { return (take_kind(text, at) & kNumber) != 0; };
  if (!is_number(begin)) return skip<kNumber, false>(text, begin);
  std::size_t before = begin;
  while (before > 0 && (static_cast<unsigned char>(text[--before]) & 0xC0U) == 0x80U) {
  }
  std::size_t n_first = 0;
  if (begin == 0 || !is_number(before)) {
    for (std::size_t at = begin; at < text.size() && is_number(at); ++n_first) take_kind(text, at);
  }
  n_first = n_first % 3 == 0 ? 3 : n_first % 3;
  std::size_t end = begin;
  for (std::size_t i = 0; i < n_first; ++i) take_kind(text, end);
  return end;
}

/// Whether the character at `at` is numeric; moves `at` behind it.
bool take_numeric(std::string_view text, std::size_t& at) noexcept {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte >= 0x80) return is_numeric(decode_long_char(text, at));
  ++at;
  return byte >= '0' && byte <= '9';
}

std::size_t skip_numeric(std::string_view text, std::size_t at, bool wanted) noexcept {
  while (at < text.size()) {
    std::size_t next = at;
    if (take_numeric(text, next) != wanted) break;
    at = next;
  }
  return at;
}

#define OPENLLM_LLAMA3(letters, numbers, others)                                         \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?" letters "|" numbers "| ?" others \
  "+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define OPENLLM_BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define OPENLLM_CAPITALS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define OPENLLM_SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define OPENLLM_O200K(contraction, numbers)                                                   \
  OPENLLM_BEFORE OPENLLM_CAPITALS                                                             \
      "*" OPENLLM_SMALL "+" contraction "|" OPENLLM_BEFORE OPENLLM_CAPITALS "+" OPENLLM_SMALL \
      "*" contraction "|" numbers                                                             \
      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct Known {
  std::string_view pattern;
  WordScanner scanner;
};
constexpr Known kKnown[] = {
    {kGpt2Pattern, scan_gpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", scan_gpt2},
    {OPENLLM_LLAMA3("\\p{L}+", "\\p{N}{1,3}", "[^\\s\\p{L}\\p{N}]"), scan_llama3<3, kLetter>},
    {OPENLLM_LLAMA3("\\p{L}+", "\\p{N}", "[^\\s\\p{L}\\p{N}]"), scan_llama3<1, kLetter>},
    {OPENLLM_LLAMA3("[\\p{L}\\p{M}]+", "\\p{N}", "[^\\s\\p{L}\\p{M}\\p{N}]"),
     scan_llama3<1, kLetter | kMark>},
    {OPENLLM_O200K("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"), scan_o200k<3, true>},
    {OPENLLM_O200K("", "\\p{N}"), scan_o200k<1, false>},
    {"\\p{N}", scan_number},
    {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))", scan_number_groups},
};

}  // namespace

unsigned char_kind(char32_t code) noexcept {
  if (code < 0x80) return kAsciiKinds[code];
  if (code == 0x85) return kSpace;
  const auto mask = static_cast<std::uint32_t>(U_GET_GC_MASK(static_cast<UChar32>(code)));
  if ((mask & U_GC_L_MASK) != 0) {
    if ((mask & U_GC_LL_MASK) != 0) return kLetter | kLower;
    return (mask & (U_GC_LU_MASK | U_GC_LT_MASK)) != 0 ? kLetter | kUpper : kLetter;
  }
  if ((mask & U_GC_N_MASK) != 0) return kNumber;
  if ((mask & U_GC_M_MASK) != 0) return kMark;
  if ((mask & U_GC_Z_MASK) != 0) return kSpace;
  return (mask & U_GC_CN_MASK) != 0 ? added_kind(code) : 0U;
}

WordScanner find_word_scanner(std::string_view pattern) noexcept {
  for (const Known& known : kKnown) {
    if (known.pattern == pattern) return known.scanner;
  }
  return nullptr;
}

std::size_t scan_digit(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  return take_numeric(text, at) ? at : skip_numeric(text, at, false);
}

std::size_t scan_digits(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  const bool numeric = take_numeric(text, at);
  return skip_numeric(text, at, numeric);
}

}  // namespace openllm::tokenizer

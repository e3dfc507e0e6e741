#include "tokenizer/unicode/unicode.h"

#include <algorithm>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/uscript.h>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/unicode/unicode_additions.h"

namespace openllm::tokenizer {
namespace {

UChar32 icu(char32_t code) { return static_cast<UChar32>(code); }

const icu::Normalizer2& normalizer_of(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      found = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::kNfd:
      found = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::kNfkc:
      found = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::kNfkd:
      found = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  if (U_FAILURE(status) != 0 || found == nullptr) {
    base::fail(ErrorCode::kInternal,
               "tokenizer: ICU has no normalization data: ", u_errorName(status));
  }
  return *found;
}

/// The characters of Unicode 9, which is what the Hugging Face library normalizes; others stay as
/// they are and combine with nothing.
const icu::UnicodeSet& known_to_normalizer() {
  static const icu::UnicodeSet kSet = [] {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet set(icu::UnicodeString(u"[:age=9.0:]"), status);
    if (U_FAILURE(status) != 0)
      base::fail(ErrorCode::kInternal, "tokenizer: ICU: ", u_errorName(status));
    set.freeze();
    return set;
  }();
  return kSet;
}

/// Assigned in that version of Unicode.
bool is_of_age(char32_t code, int major) noexcept {
  UVersionInfo age = {};
  u_charAge(icu(code), age);
  return age[0] != 0 && age[0] <= major;
}

bool has_category(char32_t code, std::uint32_t mask) noexcept {
  return (U_GET_GC_MASK(icu(code)) & mask) != 0;
}

}  // namespace

namespace {

icu::FilteredNormalizer2 known_normalizer(NormalForm form) {
  return {normalizer_of(form), known_to_normalizer()};
}

}  // namespace

std::u32string decompose(NormalForm form, char32_t code) {
  icu::UnicodeString units;
  if (code < 0x80 || !known_normalizer(form).getDecomposition(icu(code), units)) return {};
  std::u32string out;
  for (std::int32_t i = 0; i < units.length(); i = units.moveIndex32(i, 1))
    out.push_back(static_cast<char32_t>(units.char32At(i)));
  return out;
}

std::optional<char32_t> compose(char32_t first, char32_t second) {
  const UChar32 both = known_normalizer(NormalForm::kNfc).composePair(icu(first), icu(second));
  return both < 0 ? std::nullopt : std::optional(static_cast<char32_t>(both));
}

int combining_class(char32_t code) {
  return code < 0x80 ? 0 : known_normalizer(NormalForm::kNfc).getCombiningClass(icu(code));
}

std::string normalize(NormalForm form, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; }))
    return std::string(text);
  const icu::FilteredNormalizer2 normalizer = known_normalizer(form);
  std::string out;
  out.reserve(text.size());
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
  normalizer.normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status) != 0)
    base::fail(ErrorCode::kInternal, "tokenizer: ICU: ", u_errorName(status));
  return out;
}

namespace {

char32_t lower_of(char32_t code) noexcept {
  const auto lower = static_cast<char32_t>(u_tolower(icu(code)));
  if (lower != code || code < 0x80) return lower;
  for (const CodePair& pair : added_lower()) {
    if (pair.from == code) return pair.to;
  }
  return code;
}

}  // namespace

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t code = base::decode_utf8(text, pos);
    base::append_utf8(out, lower_of(code));
    if (code == 0x130) base::append_utf8(out, 0x307);  // the one character with two in lower case
  }
  return out;
}

std::u32string to_lower(char32_t code) {
  if (code == 0x130) return {U'i', 0x307};
  return {lower_of(code)};
}

bool is_whitespace(char32_t code) noexcept { return u_isUWhiteSpace(icu(code)) != 0; }

namespace {

/// Of Unicode 16 and not of ICU's version.
bool is_added_word_char(char32_t code) noexcept {
  for (const CategoryRange& range : added_categories()) {
    if (code < range.first || code > range.last) continue;
    const std::string_view category = range.category;
    return category[0] == 'L' || category[0] == 'M' || category == "Nd" || category == "Nl" ||
           category == "Pc";
  }
  return false;
}

}  // namespace

bool is_word_char(char32_t code) noexcept {
  return u_isUAlphabetic(icu(code)) != 0 ||
         has_category(code, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) || code == 0x200C ||
         code == 0x200D || (code >= 0x80 && is_added_word_char(code));
}

bool is_numeric(char32_t code) noexcept {
  if (code < 0x80) return code >= '0' && code <= '9';
  if (has_category(code, U_GC_N_MASK)) return true;
  for (const CodeRange& range : added_numeric()) {
    if (code >= range.first && code <= range.last) return true;
  }
  return false;
}

bool is_punctuation(char32_t code) noexcept {
  if (code < 0x80) return u_isgraph(icu(code)) != 0 && u_isalnum(icu(code)) == 0;
  if (code == 0x166D || code == 0x111C9) return true;  // of another category since
  return has_category(code, U_GC_P_MASK) && is_of_age(code, 8);
}

bool is_mark(char32_t code) noexcept {
  if (code == 0x1CF2 || code == 0x1CF3) return true;  // of another category since
  return has_category(code, U_GC_M_MASK) && is_of_age(code, 9) && code != 0x111C9;
}

bool is_old_nonspacing_mark(char32_t code) noexcept {
  if (code == 0x1734) return true;  // these are of another category since
  if (code == 0xC04 || code == 0x1885 || code == 0x1886 || code == 0xA9BD || code == 0x111C9)
    return false;
  return has_category(code, U_GC_MN_MASK) && is_of_age(code, 8);
}

bool is_old_other(char32_t code) noexcept {
  return has_category(code, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK) && is_of_age(code, 8);
}

int old_script(char32_t code) noexcept {
  if (!is_of_age(code, 9)) return 0;
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(icu(code), &status);
  return U_FAILURE(status) != 0 || script == USCRIPT_UNKNOWN ? 0 : static_cast<int>(script) + 1;
}

std::size_t leading_whitespace(std::string_view text) noexcept {
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t before = pos;
    if (!is_whitespace(base::decode_utf8(text, pos))) return before;
  }
  return text.size();
}

std::size_t trailing_whitespace(std::string_view text) noexcept {
  std::size_t end = text.size();
  while (end > 0 && is_whitespace(char_before(text, end))) end = start_of_char_before(text, end);
  return text.size() - end;
}

std::size_t count_non_blank(std::string_view text) noexcept {
  std::size_t n_bytes = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    if (!is_whitespace(base::decode_utf8(text, pos))) n_bytes += pos - begin;
  }
  return n_bytes;
}

std::size_t start_of_char_before(std::string_view text, std::size_t end) noexcept {
  std::size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
  return begin;
}

char32_t char_before(std::string_view text, std::size_t end) noexcept {
  std::size_t pos = start_of_char_before(text, end);
  return base::decode_utf8(text, pos);
}

}  // namespace openllm::tokenizer

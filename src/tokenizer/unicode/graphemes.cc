#include "tokenizer/unicode/graphemes.h"

#include <algorithm>
#include <iterator>

#include <unicode/uchar.h>

#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/unicode/unicode_additions.h"

namespace openllm::tokenizer {
namespace {

using Break = UGraphemeClusterBreak;

/// Marks of Unicode 16 and 17, found by asking the Hugging Face library about every code point.
constexpr CodeRange kAddedMarks[] = {
    {0x897, 0x897},     {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D},
    {0x10EFA, 0x10EFC}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5},
    {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2}, {0x113E1, 0x113E2},
    {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F}, {0x1E5EE, 0x1E5EF},
    {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5}};

bool is_added_mark(char32_t code) noexcept {
  const auto* range =
      std::lower_bound(std::begin(kAddedMarks), std::end(kAddedMarks), code,
                       [](const CodeRange& each, char32_t value) { return each.last < value; });
  return range != std::end(kAddedMarks) && range->first <= code;
}

Break break_of(char32_t code) noexcept {
  const auto known = static_cast<Break>(
      u_getIntPropertyValue(static_cast<UChar32>(code), UCHAR_GRAPHEME_CLUSTER_BREAK));
  return known == U_GCB_OTHER && is_added_mark(code) ? U_GCB_EXTEND : known;
}

bool is_pictograph(char32_t code) noexcept {
  return u_hasBinaryProperty(static_cast<UChar32>(code), UCHAR_EXTENDED_PICTOGRAPHIC) != 0;
}

bool is_control(Break value) noexcept {
  return value == U_GCB_CONTROL || value == U_GCB_CR || value == U_GCB_LF;
}

bool joins_hangul(Break before, Break after) noexcept {
  if (before == U_GCB_L)
    return after == U_GCB_L || after == U_GCB_V || after == U_GCB_LV || after == U_GCB_LVT;
  if (before == U_GCB_LV || before == U_GCB_V) return after == U_GCB_V || after == U_GCB_T;
  return (before == U_GCB_LVT || before == U_GCB_T) && after == U_GCB_T;
}

}  // namespace

std::size_t grapheme_end(std::string_view text, std::size_t begin) noexcept {
  std::size_t at = begin;
  char32_t code = decode_valid(text, at);
  // Two characters of ASCII only join as a line end.
  if (code < 0x80 && (at == text.size() || static_cast<unsigned char>(text[at]) < 0x80))
    return code == '\r' && at < text.size() && text[at] == '\n' ? at + 1 : at;
  Break before = break_of(code);
  bool pictograph = is_pictograph(code);  // and maybe marks behind it
  bool flag_is_open = before == U_GCB_REGIONAL_INDICATOR;
  while (at < text.size()) {
    std::size_t next = at;
    code = decode_valid(text, next);
    const Break after = break_of(code);
    bool joins = false;
    if (before == U_GCB_CR && after == U_GCB_LF) {
      joins = true;
    } else if (!is_control(before) && !is_control(after)) {
      joins = joins_hangul(before, after) || after == U_GCB_EXTEND || after == U_GCB_ZWJ ||
              after == U_GCB_SPACING_MARK || before == U_GCB_PREPEND ||
              (before == U_GCB_ZWJ && pictograph && is_pictograph(code)) ||
              (flag_is_open && after == U_GCB_REGIONAL_INDICATOR);
    }
    if (!joins) return at;
    if (after != U_GCB_EXTEND && after != U_GCB_ZWJ) pictograph = is_pictograph(code);
    flag_is_open = after == U_GCB_REGIONAL_INDICATOR && !flag_is_open;
    before = after;
    at = next;
  }
  return at;
}

}  // namespace openllm::tokenizer

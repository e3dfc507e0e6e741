#include "tokenizer/unicode/graphemes.h"

#include <unicode/uchar.h>

#include "tokenizer/unicode/fast_utf8.h"

namespace openllm::tokenizer {
namespace {

using Break = UGraphemeClusterBreak;

Break break_of(char32_t code) noexcept {
  return static_cast<Break>(
      u_getIntPropertyValue(static_cast<UChar32>(code), UCHAR_GRAPHEME_CLUSTER_BREAK));
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

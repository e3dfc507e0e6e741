#include "base/utf8.h"

#include <cstring>

namespace openllm::base {
namespace {

/// What a lead byte asks for: sequence length, and the range of the second byte (Unicode 15, table
/// 3-7).
struct Lead {
  int length;
  unsigned char second_min;
  unsigned char second_max;
};

Lead classify(unsigned char byte) noexcept {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// Number of valid bytes of the sequence at `pos`; equals the lead's length when complete.
int valid_prefix(std::string_view text, std::size_t pos, const Lead& lead) noexcept {
  int n = 1;
  while (n < lead.length && pos + static_cast<std::size_t>(n) < text.size()) {
    const auto byte = static_cast<unsigned char>(text[pos + static_cast<std::size_t>(n)]);
    const unsigned char low = n == 1 ? lead.second_min : 0x80;
    const unsigned char high = n == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) break;
    ++n;
  }
  return n;
}

}  // namespace

char32_t decode_utf8(std::string_view text, std::size_t& pos) noexcept {
  const auto first = static_cast<unsigned char>(text[pos]);
  const Lead lead = classify(first);
  if (lead.length == 1) {
    ++pos;
    return first;
  }
  if (lead.length == 0) {
    ++pos;
    return kReplacement;
  }
  const int n = valid_prefix(text, pos, lead);
  if (n < lead.length) {
    pos += static_cast<std::size_t>(n);
    return kReplacement;
  }
  char32_t code = first & (0xFFU >> static_cast<unsigned>(lead.length + 1));
  for (int i = 1; i < lead.length; ++i) {
    code = (code << 6U) |
           (static_cast<unsigned char>(text[pos + static_cast<std::size_t>(i)]) & 0x3FU);
  }
  pos += static_cast<std::size_t>(lead.length);
  return code;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
  };
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = kReplacement;
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6U));
    put(0x80 | (c & 0x3FU));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12U));
    put(0x80 | ((c >> 6U) & 0x3FU));
    put(0x80 | (c & 0x3FU));
  } else {
    put(0xF0 | (c >> 18U));
    put(0x80 | ((c >> 12U) & 0x3FU));
    put(0x80 | ((c >> 6U) & 0x3FU));
    put(0x80 | (c & 0x3FU));
  }
}

bool is_valid_utf8(std::string_view text) noexcept {
  std::size_t pos = 0;
  while (pos < text.size()) {
    if (std::uint64_t bytes = 0; text.size() - pos >= sizeof bytes) {  // eight of ASCII at once
      std::memcpy(&bytes, text.data() + pos, sizeof bytes);
      if ((bytes & 0x8080808080808080ULL) == 0) {
        pos += sizeof bytes;
        continue;
      }
    }
    const Lead lead = classify(static_cast<unsigned char>(text[pos]));
    if (lead.length == 0 || valid_prefix(text, pos, lead) < lead.length) return false;
    pos += static_cast<std::size_t>(lead.length);
  }
  return true;
}

std::string sanitize_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  std::size_t pos = 0;
  while (pos < text.size()) append_utf8(out, decode_utf8(text, pos));
  return out;
}

std::size_t incomplete_utf8_tail(std::string_view text) noexcept {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::size_t pos = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[pos]);
    if (byte >= 0x80 && byte < 0xC0) continue;
    const Lead lead = classify(byte);
    const bool open = lead.length > static_cast<int>(back) &&
                      valid_prefix(text, pos, lead) == static_cast<int>(back);
    return open ? back : 0;
  }
  return 0;
}

}  // namespace openllm::base

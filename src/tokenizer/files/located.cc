#include "tokenizer/files/located.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

/// A blank as a text or GPT-2's alphabet writes it.
bool is_blank(char32_t code) noexcept { return code == byte_to_char(' ') || is_whitespace(code); }

std::size_t count_leading(std::string_view piece) noexcept {
  std::size_t n = 0;
  for (std::size_t pos = 0; pos < piece.size() && is_blank(base::decode_utf8(piece, pos));) ++n;
  return n;
}

std::size_t count_trailing(std::string_view piece) noexcept {
  std::size_t n = 0;
  for (std::size_t end = piece.size(); end > 0 && is_blank(char_before(piece, end)); ++n)
    end = start_of_char_before(piece, end);
  return n;
}

}  // namespace

void count_code_points(std::string_view text, std::vector<LocatedToken>& tokens) {
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  if (is_ascii) return;
  std::vector<std::size_t> counts(text.size() + 1);  // characters that begin before each byte
  for (std::size_t i = 0; i < text.size(); ++i)
    counts[i + 1] = counts[i] + ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U ? 1 : 0);
  for (LocatedToken& token : tokens) {
    token.begin = counts[token.begin];
    token.end = counts[token.end];
  }
}

void trim_places(SpecialFrame::Trim trim, base::FunctionRef<std::string_view(TokenId)> piece_of,
                 std::vector<LocatedToken>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    LocatedToken& token = tokens[i];
    const std::string_view piece = token.name.empty() ? piece_of(token.id) : token.name;
    std::size_t n_leading = count_leading(piece);
    const std::size_t n_trailing = count_trailing(piece);
    const bool is_first = (i == 0 && !trim.is_outer) || token.begin == 0;
    if (is_first && trim.keeps_first_space && n_leading == 1) n_leading = 0;
    token.begin = std::min(token.begin + n_leading, token.end);
    if (n_trailing > 0 && token.end >= n_trailing)
      token.end = std::max(token.end - n_trailing, token.begin);
  }
}

}  // namespace openllm::tokenizer

#include "tokenizer/vocab/byte_tokens.h"

#include "base/error.h"

namespace openllm::tokenizer {

std::string byte_token(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return base::cat("<0x", kDigits[byte >> 4U], kDigits[byte & 15U], ">");
}

std::vector<TokenId> find_byte_tokens(const Vocab& vocab) {
  std::vector<TokenId> ids(256, -1);
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto id = vocab.find(byte_token(byte));
    const bool in_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (!id && in_utf8) return {};
    ids[byte] = id.value_or(-1);
  }
  return ids;
}

}  // namespace openllm::tokenizer

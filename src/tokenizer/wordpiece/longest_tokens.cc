#include "tokenizer/wordpiece/longest_tokens.h"

#include <algorithm>

#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {

void LongestTokens::locate(std::string_view word, std::vector<Piece>& out) const {
  for (std::size_t at = 0; at < word.size();) {
    const ByteTrie::Match match = trie_.longest(word.substr(at));
    const std::size_t length = std::max(match.length, std::size_t{1});
    out.push_back({match.length == 0 ? unk_id_ : match.id, at, at + length});
    at += length;
  }
}

std::unique_ptr<Model::Session> LongestTokens::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer

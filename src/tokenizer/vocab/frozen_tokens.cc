#include "tokenizer/vocab/frozen_tokens.h"

#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {

void FrozenTokens::locate_rest(std::string_view word, std::size_t begin, std::size_t end,
                               std::vector<Piece>& out) const {
  if (begin == end) return;
  const std::size_t n_before = out.size();
  model_->locate(word.substr(begin, end - begin), out);
  for (std::size_t i = n_before; i < out.size(); ++i) {
    out[i].begin += begin;
    out[i].end += begin;
  }
}

void FrozenTokens::locate(std::string_view word, std::vector<Piece>& out) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < word.size();) {
    const ByteTrie::Match match = trie_.longest(word.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    locate_rest(word, done, at, out);
    out.push_back({match.id, at, at + match.length});
    at += match.length;
    done = at;
  }
  locate_rest(word, done, word.size(), out);
}

std::unique_ptr<Model::Session> FrozenTokens::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer

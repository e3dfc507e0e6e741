#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/byte_trie.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// PLaMo-2's tokens: the cut of a text whose scores, as whole numbers of 1/10000, add up to the
/// most; found from the end, and of equal sums the longer token counts. A character without a token
/// costs 1000 and becomes the tokens of its bytes.
class TokenCosts final : public Model {
 public:
  /// A score for each id. `byte_tokens`: by byte. `skipped`: ids that texts are not cut into.
  TokenCosts(const Vocab& vocab, std::span<const float> scores, const std::vector<bool>& skipped,
             std::vector<TokenId> byte_tokens);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return ByteTrie::kMaxBytes; }
  bool may_vanish(unsigned char) const noexcept override { return false; }

 private:
  ByteTrie trie_;
  std::vector<std::int32_t> scores_;
  std::vector<TokenId> byte_tokens_;
};

}  // namespace openllm::tokenizer

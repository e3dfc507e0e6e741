#pragma once

#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/byte_trie.h"

namespace openllm::tokenizer {

/// RWKV's tokens: always the longest one that what is left begins with; a byte that no token begins
/// with is unknown.
class LongestTokens final : public Model {
 public:
  /// `tokens`: raw bytes and ids.
  LongestTokens(std::vector<ByteTrie::Entry> tokens, TokenId unk_id)
      : trie_(std::move(tokens)), unk_id_(unk_id) {}

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return ByteTrie::kMaxBytes; }
  bool may_vanish(unsigned char) const noexcept override { return false; }

 private:
  ByteTrie trie_;
  TokenId unk_id_;
};

}  // namespace openllm::tokenizer

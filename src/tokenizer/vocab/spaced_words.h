#pragma once

#include <optional>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// SentencePiece's model of words: each U+2581 begins a word, which is a token or unknown.
/// Neighbouring unknown words are one unknown token, or their bytes where each has a token.
class SpacedWords final : public Model {
 public:
  /// `vocab` must outlive the model.
  SpacedWords(const Vocab& vocab, std::optional<TokenId> unk_id, bool byte_fallback);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return 0; }
  bool may_vanish(unsigned char) const noexcept override { return !unk_id_; }

 private:
  void append_unknown(std::string_view word, std::size_t begin, std::size_t end,
                      std::vector<Piece>& out) const;

  const Vocab* vocab_;
  std::optional<TokenId> unk_id_;
  std::vector<TokenId> byte_tokens_;  // empty: no fallback
};

}  // namespace openllm::tokenizer

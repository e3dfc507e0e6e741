#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/byte_trie.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

struct UnigramOptions {
  bool byte_fallback = false;     ///< Unknown text becomes <0x..> tokens, if all of them are there.
  std::optional<TokenId> unk_id;  ///< Without one, unknown text is an error.
  /// Tokens that texts are never cut into, as bytes and control tokens of SentencePiece; one for
  /// each id, or none at all.
  std::vector<bool> unused{};
  /// Tokens that are always preferred, as user defined ones of SentencePiece; the same.
  std::vector<bool> preferred{};
  bool single_precision = false;  ///< Of sums of scores, as in SentencePiece itself.
  /// Unknown characters side by side may be a token together, as in the Hugging Face library.
  bool finds_unknown = true;
};

/// Cuts a word where the scores of its tokens add up to the most. Of equal sums, the one that comes
/// about first counts. Neighbouring characters without tokens are one unknown token. As the Hugging
/// Face library does it. O(n) for a word of n bytes, times the length of the longest token.
class Unigram final : public Model {
 public:
  /// `vocab` must outlive the model; a score for each id. Throws kUnsupported for tokens that are
  /// too long.
  Unigram(const Vocab& vocab, std::vector<double> scores, UnigramOptions options);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override;
  bool may_vanish(unsigned char) const noexcept override { return false; }

 private:
  /// The best way to the place behind some byte.
  struct Step {
    double score = 0;
    std::uint32_t begin = 0;  // of its last token
    TokenId id = kNone;
  };
  static constexpr TokenId kNone = -1;     // no way leads here
  static constexpr TokenId kUnknown = -2;  // a character without a token
  void find_steps(std::string_view word, std::vector<Step>& steps) const;
  void append_unknown(std::string_view word, std::size_t begin, std::size_t end,
                      std::vector<Piece>& out) const;

  const Vocab* vocab_;
  std::vector<double> scores_;
  UnigramOptions options_;
  ByteTrie trie_;
  double unknown_score_ = 0;
  std::vector<TokenId> byte_tokens_;  // by byte; empty unless all are there
};

}  // namespace openllm::tokenizer

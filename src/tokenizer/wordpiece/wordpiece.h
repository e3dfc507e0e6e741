#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/vocab/byte_trie.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

struct WordPieceOptions {
  std::string continuing_prefix = "##";  ///< Spelled before every token but the first of a word.
  std::string first_prefix{};            ///< Spelled before the first one, and no other.
  std::size_t max_word_chars = 100;      ///< Longer words are unknown.
  std::optional<TokenId> unk_id{};       ///< Without one, unknown words are an error.
};

/// The longest token that a word begins with, then the longest one of the rest, and so on; a word
/// with a rest that no token begins is one unknown token. As the Hugging Face library does it.
class WordPiece final : public Model {
 public:
  WordPiece(const Vocab& vocab, WordPieceOptions options);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  /// There is no limit: an unknown token stands for any word.
  std::size_t max_token_bytes() const noexcept override { return 0; }
  bool may_vanish(unsigned char) const noexcept override { return false; }

 private:
  bool append_known(std::string_view word, std::vector<Piece>& out) const;

  WordPieceOptions options_;
  ByteTrie first_;
  ByteTrie rest_;  // without their prefix
};

/// A word is a token or unknown.
class WordLevel final : public Model {
 public:
  /// `vocab` must outlive the model.
  WordLevel(const Vocab& vocab, std::optional<TokenId> unk_id) : vocab_(&vocab), unk_id_(unk_id) {}

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override { return 0; }
  bool may_vanish(unsigned char) const noexcept override { return false; }

 private:
  const Vocab* vocab_;
  std::optional<TokenId> unk_id_;
};

}  // namespace openllm::tokenizer

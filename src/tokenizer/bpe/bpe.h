#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe/char_joins.h"
#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/model.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

struct BpeOptions {
  bool byte_level = false;      ///< Words are raw bytes; pieces are in GPT-2's alphabet.
  bool byte_fallback = false;   ///< Characters without a token become <0x..> tokens.
  bool fuse_unk = false;        ///< Neighbouring unknown characters give one unknown token.
  bool ignore_merges = false;   ///< A word that is a token is that token.
  bool whole_newlines = false;  ///< A word of line ends that is a token is that token.
  std::optional<TokenId> unk_id;
  std::string continuing_prefix;  ///< Spelled before every character but the first of a word.
  std::string word_suffix;        ///< Spelled behind the last character of a word.
};

/// Byte pair encoding over tokens of a vocabulary, as the Hugging Face library does it: characters
/// (or bytes) that merge by rank, leftmost first. O(n log n) for a word of n characters, without
/// recursion.
class Bpe final : public Model {
 public:
  /// `vocab` must outlive the model. Of equal pairs the last merge counts.
  Bpe(const Vocab& vocab, BpeOptions options, std::span<const MergeTable::Entry> merges);

  std::unique_ptr<Session> start(std::size_t text_bytes) const override;
  void locate(std::string_view word, std::vector<Piece>& out) const override;
  std::size_t max_token_bytes() const noexcept override;
  bool may_vanish(unsigned char byte) const noexcept override;

 private:
  class BpeSession;
  /// Where a word may be cut, if no merge joins the characters there.
  enum class Cuts { kNone, kBeforeMeta, kAnywhere };
  void append_bytes(std::string_view word, std::vector<TokenId>& out) const;
  void append_chars(std::string_view word, std::vector<TokenId>& out) const;
  struct Symbols {
    std::vector<TokenId> ids;
    std::vector<std::size_t> lengths;  // bytes of the word
  };
  void locate_bytes(std::string_view word, Symbols& out) const;
  void locate_chars(std::string_view word, Symbols& out) const;
  bool append_fallback(std::string_view spelled, std::vector<TokenId>& out) const;
  std::optional<TokenId> whole_word(std::string_view word) const noexcept;
  void prefetch_whole_word(std::string_view word) const noexcept;
  void find_byte_tokens();
  std::vector<TokenId> find_letters() const;
  void find_words();
  Cuts find_cuts(std::span<const MergeTable::Entry> merges) const;
  std::optional<TokenId> find_char(std::string_view spelled) const noexcept;

  const Vocab* vocab_;
  BpeOptions options_;
  MergeTable merges_;
  StringIds words_;  // byte level with ignore_merges: raw bytes to ids
  // The token of a byte at [is continuing][is last]; -1 if there is none.
  TokenId byte_tokens_[2][2][256];
  TokenId fallback_tokens_[256];
  TokenId ascii_tokens_[256];  // -1 from 0x80 on
  Cuts cuts_ = Cuts::kNone;
  CharJoins joins_;
};

}  // namespace openllm::tokenizer

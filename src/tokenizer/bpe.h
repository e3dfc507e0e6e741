#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/model.h"
#include "tokenizer/vocab.h"

namespace openllm::tokenizer {

struct BpeOptions {
  bool byte_level = false;     ///< Words are raw bytes; pieces are in GPT-2's alphabet.
  bool byte_fallback = false;  ///< Characters without a token become <0x..> tokens.
  bool fuse_unk = false;       ///< Neighbouring unknown characters give one unknown token.
  bool ignore_merges = false;  ///< A word that is a token is that token.
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
  std::size_t max_token_bytes() const noexcept override;

 private:
  class BpeSession;
  struct Symbols;
  void append_bytes(std::string_view word, std::vector<TokenId>& out) const;
  void append_chars(std::string_view word, std::vector<TokenId>& out) const;
  bool append_fallback(std::string_view spelled, std::vector<TokenId>& out) const;
  std::optional<TokenId> whole_word(std::string_view word) const noexcept;
  void find_byte_tokens();
  void find_words();
  void find_joined_before_meta(std::span<const MergeTable::Entry> merges);
  /// May the text be cut between `before` and U+2581?
  bool can_cut_after(char32_t before) const noexcept;

  const Vocab* vocab_;
  BpeOptions options_;
  MergeTable merges_;
  StringIds words_;  // byte level with ignore_merges: raw bytes to ids
  // The token of a byte at [is continuing][is last]; -1 if there is none.
  TokenId byte_tokens_[2][2][256];
  TokenId fallback_tokens_[256];
  bool can_cut_ = false;  // SentencePiece style: U+2581 is a token, so words can be cut before it
  std::unordered_set<char32_t>
      joined_before_meta_;  // characters that some merge joins with a following U+2581
};

}  // namespace openllm::tokenizer

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

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

/// Pairs of tokens and what they become, the lowest rank first.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

  void reserve(std::size_t n_merges);
  /// Of equal pairs the last one counts.
  void set(TokenId left, TokenId right, Merge merge);
  /// rank == kNoRank if the pair does not merge.
  Merge find(TokenId left, TokenId right) const noexcept {
    if (slots_.empty()) return {kNoRank, 0};
    const std::uint64_t key = key_of(left, right);
    for (std::size_t slot = slot_of(key);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].key == key) return slots_[slot].merge;
      if (slots_[slot].key == kEmpty) return {kNoRank, 0};
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // no token has the id -1
  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge{kNoRank, 0};
  };
  static std::uint64_t key_of(TokenId left, TokenId right) noexcept {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32U) |
           static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const noexcept {
    const std::uint64_t x = key * 0x9E3779B97F4A7C15ULL;
    return static_cast<std::size_t>(x ^ (x >> 32U)) & (slots_.size() - 1);
  }
  void grow(std::size_t n_slots);

  std::vector<Slot> slots_;  // a power of two of them, at most half full
  std::size_t n_merges_ = 0;
};

/// Byte pair encoding over tokens of a vocabulary, as the Hugging Face library does it: characters
/// (or bytes) that merge by rank, leftmost first. O(n log n) for a word of n characters, without
/// recursion.
class Bpe final : public Model {
 public:
  /// `vocab` must outlive the model.
  Bpe(const Vocab& vocab, BpeOptions options);

  /// Throws kCorruptData when one of the three pieces is not in the vocabulary.
  void add_merge(std::string_view left, std::string_view right, std::uint32_t rank);
  void add_merge(TokenId left, TokenId right, MergeTable::Merge merge);
  bool has_merge(TokenId left, TokenId right) const noexcept {
    return merges_.find(left, right).rank != MergeTable::kNoRank;
  }
  void reserve_merges(std::size_t n_merges) { merges_.reserve(n_merges); }

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

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Merges: pairs of tokens, the token that each becomes, and its rank. The lowest rank goes first.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  struct Entry {
    TokenId left, right;
    Merge merge;
  };
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

  MergeTable() = default;
  /// Of equal pairs the last one counts. `letters`: tokens that words are made of before anything
  /// merges, see find_first; those after the first 255 have no effect.
  explicit MergeTable(std::span<const Entry> entries, std::span<const TokenId> letters = {});

  /// rank == kNoRank if the pair does not merge.
  Merge find(TokenId left, TokenId right) const noexcept {
    const std::uint64_t key = key_of(left, right);
    const std::uint64_t hash = hash_of(key);
    const unsigned char tag = tag_of(hash);
    for (std::size_t i = hash & mask_;; i = (i + 1) & mask_) {
      if (tags_[i] == 0) return {kNoRank, 0};
      if (tags_[i] == tag && slots_[i].key == key) return slots_[i].merge;
    }
  }

  /// The same for the pairs of a word in which nothing has merged yet. Pairs of letters have a
  /// small table of their own, which stays in the caches.
  Merge find_first(TokenId left, TokenId right) const noexcept {
    const std::size_t a = letter_of(left);
    const std::size_t b = letter_of(right);
    return a != 0 && b != 0 ? letter_pairs_[a * kLetters + b] : find(left, right);
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // no token has the id -1
  static constexpr std::size_t kLetters = 256;                // 0: not a letter
  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge{kNoRank, 0};
  };
  static std::uint64_t key_of(TokenId left, TokenId right) noexcept {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32U) |
           static_cast<std::uint32_t>(right);
  }
  void set_letters(std::span<const TokenId> letters);
  static std::uint64_t hash_of(std::uint64_t key) noexcept {
    const std::uint64_t x = key * 0x9E3779B97F4A7C15ULL;
    return x ^ (x >> 32U);
  }
  static unsigned char tag_of(std::uint64_t hash) noexcept {
    return static_cast<unsigned char>(hash >> 56U) | 1U;
  }

  std::size_t letter_of(TokenId id) const noexcept {
    const auto index = static_cast<std::size_t>(id);
    return index < letters_.size() ? letters_[index] : 0;
  }

  std::vector<unsigned char> letters_;  // by token id
  std::vector<Merge> letter_pairs_;
  std::vector<unsigned char> tags_ = std::vector<unsigned char>(1);
  std::vector<Slot> slots_;  // a power of two of them, at most half full
  std::size_t mask_ = 0;
};

}  // namespace openllm::tokenizer

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Pairs of tokens and what they become, the lowest rank first.
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
  /// Of equal pairs the last one counts.
  explicit MergeTable(std::span<const Entry> entries);

  /// rank == kNoRank if the pair does not merge.
  Merge find(TokenId left, TokenId right) const noexcept {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].merge;
      if (slots_[i].key == kEmpty) return {kNoRank, 0};
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
    return static_cast<std::size_t>(x ^ (x >> 32U)) & mask_;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1);  // a power of two of them, at most half full
  std::size_t mask_ = 0;
};

}  // namespace openllm::tokenizer

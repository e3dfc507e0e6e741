#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// Pairs of neighbouring characters that some merge joins. A text can be cut between all other
/// neighbours, and its parts encoded alone.
class CharJoins {
 public:
  CharJoins() = default;
  CharJoins(const Vocab& vocab, std::span<const MergeTable::Entry> merges);

  /// May be true where no merge is, never false where one is.
  bool joins(char32_t before, char32_t after) const noexcept {
    const std::size_t bit = bit_of(before, after);
    return ((bits_[bit / 64] >> (bit % 64)) & 1U) != 0;
  }

 private:
  // Gemma 3 joins 34 thousand pairs, so that three in a hundred others share a bit with one.
  static constexpr unsigned kLogBits = 20;
  static std::size_t bit_of(char32_t before, char32_t after) noexcept {
    const std::uint64_t x = (std::uint64_t{before} << 32U) | after;
    return static_cast<std::size_t>(((x ^ (x >> 27U)) * 0x9E3779B97F4A7C15ULL) >> (64 - kLogBits));
  }
  std::vector<std::uint64_t> bits_;
};

}  // namespace openllm::tokenizer

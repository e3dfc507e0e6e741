#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/bpe/bpe.h"

namespace openllm::tokenizer {

/// Merges the symbols of one word in place; keeps its buffers.
class BpeMerger {
 public:
  explicit BpeMerger(const MergeTable& merges) : merges_(&merges) {}
  /// `lengths`: one for each symbol; those of symbols that merge are added up.
  void merge(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths = nullptr);

 private:
  using Merge = MergeTable::Merge;
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t position;  // of the left symbol
    TokenId left, right, result;
  };
  struct Link {
    std::uint32_t previous, next;
  };
  void merge_short(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths);
  void merge_long(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths);
  void push_pair(const std::vector<TokenId>& symbols, std::uint32_t left, std::uint32_t right);

  const MergeTable* merges_;
  std::vector<Merge> pairs_;     // of the short path: what symbols i and i + 1 become
  std::vector<Candidate> heap_;  // of the long path
  std::vector<Link> links_;
};

}  // namespace openllm::tokenizer

#include "tokenizer/bpe/bpe_merge.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kShort = 64;  // up to here scanning beats a heap
constexpr std::size_t kMaxSymbols = std::size_t{1} << 31U;
constexpr std::uint32_t kNone = 0xFFFFFFFF;
constexpr TokenId kGone = -2;  // a symbol that merged into its left neighbour

}  // namespace

void BpeMerger::merge(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShort) {
    merge_short(symbols, lengths);
  } else {
    merge_long(symbols, lengths);
  }
}

void BpeMerger::merge_short(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths) {
  std::size_t n = symbols.size();
  pairs_.resize(n - 1);
  for (std::size_t i = 0; i + 1 < n; ++i)
    pairs_[i] = merges_->find_first(symbols[i], symbols[i + 1]);
  while (n > 1) {
    // Rank and place in one number: which is lower nobody can predict, so without branches.
    std::uint64_t lowest = ~std::uint64_t{0};
    for (std::size_t i = 0; i + 1 < n; ++i)
      lowest = std::min(lowest, (std::uint64_t{pairs_[i].rank} << 32U) | i);
    const auto best = static_cast<std::size_t>(lowest & 0xFFFFFFFFU);
    if (pairs_[best].rank == MergeTable::kNoRank) break;
    symbols[best] = pairs_[best].result;
    for (std::size_t i = best + 1; i + 1 < n; ++i) symbols[i] = symbols[i + 1];
    for (std::size_t i = best; i + 2 < n; ++i) pairs_[i] = pairs_[i + 1];
    --n;
    if (lengths != nullptr) {
      (*lengths)[best] += (*lengths)[best + 1];
      lengths->erase(lengths->begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    if (best > 0) pairs_[best - 1] = merges_->find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) pairs_[best] = merges_->find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void BpeMerger::push_pair(const std::vector<TokenId>& symbols, std::uint32_t left,
                          std::uint32_t right) {
  const Merge merge = merges_->find(symbols[left], symbols[right]);
  if (merge.rank == MergeTable::kNoRank) return;
  heap_.push_back({merge.rank, left, symbols[left], symbols[right], merge.result});
}

void BpeMerger::merge_long(std::vector<TokenId>& symbols, std::vector<std::size_t>* lengths) {
  if (symbols.size() > kMaxSymbols) {
    base::fail(ErrorCode::kInvalidArgument, "tokenizer: word is too long (at most ", kMaxSymbols,
               " symbols, got ", symbols.size(), ")");
  }
  const auto n = static_cast<std::uint32_t>(symbols.size());
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  links_.resize(n);
  heap_.clear();
  for (std::uint32_t i = 0; i < n; ++i)
    links_[i] = {i == 0 ? kNone : i - 1, i + 1 < n ? i + 1 : kNone};
  for (std::uint32_t i = 0; i + 1 < n; ++i) push_pair(symbols, i, i + 1);
  std::make_heap(heap_.begin(), heap_.end(), later);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Candidate top = heap_.back();
    heap_.pop_back();
    const std::uint32_t left = top.position;
    const std::uint32_t right = links_[left].next;
    // Stale when one of the two merged with another in the meantime.
    if (symbols[left] != top.left || right == kNone || symbols[right] != top.right) continue;
    symbols[left] = top.result;
    symbols[right] = kGone;
    if (lengths != nullptr) (*lengths)[left] += std::exchange((*lengths)[right], 0);
    links_[left].next = links_[right].next;
    if (links_[left].next != kNone) links_[links_[left].next].previous = left;
    const auto offer = [&](std::uint32_t a, std::uint32_t b) {
      const std::size_t before = heap_.size();
      push_pair(symbols, a, b);
      if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), later);
    };
    if (links_[left].previous != kNone) offer(links_[left].previous, left);
    if (links_[left].next != kNone) offer(left, links_[left].next);
  }
  if (lengths != nullptr) {
    std::size_t n_kept = 0;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i] != kGone) (*lengths)[n_kept++] = (*lengths)[i];
    }
    lengths->resize(n_kept);
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), kGone), symbols.end());
}

}  // namespace openllm::tokenizer

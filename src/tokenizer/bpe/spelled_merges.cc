#include "tokenizer/bpe/spelled_merges.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kBlock = 64;  // merges whose places in the hash table are loaded together

/// A merge that is being looked for: left, right, and what they become.
struct Wanted {
  std::array<std::string_view, 3> pieces;
  std::array<std::uint64_t, 3> hashes;
};

}  // namespace

std::vector<MergeTable::Entry> read_spelled_merges(
    const Vocab& vocab, std::size_t n_merges, base::FunctionRef<SpelledMerge(std::size_t)> merge_at,
    std::string_view prefix, std::string_view where) {
  std::vector<MergeTable::Entry> entries;
  entries.reserve(n_merges);
  std::array<Wanted, kBlock> block;
  std::string joined[kBlock];
  for (std::size_t begin = 0; begin < n_merges; begin += kBlock) {
    const std::size_t n = std::min(kBlock, n_merges - begin);
    for (std::size_t i = 0; i < n; ++i) {
      const SpelledMerge merge = merge_at(begin + i);
      joined[i].assign(merge.left);
      joined[i].append(merge.right.substr(std::min(prefix.size(), merge.right.size())));
      block[i].pieces = {merge.left, merge.right, joined[i]};
      for (std::size_t part = 0; part < 3; ++part) {
        block[i].hashes[part] = hash_bytes(block[i].pieces[part]);
        vocab.prefetch(block[i].hashes[part]);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      std::array<TokenId, 3> ids{};
      for (std::size_t part = 0; part < 3; ++part) {
        const auto id = vocab.find(block[i].pieces[part], block[i].hashes[part]);
        if (!id) {
          base::fail(ErrorCode::kCorruptData, where, begin + i, ": no token \"",
                     block[i].pieces[part].substr(0, 100), "\" in the vocabulary");
        }
        ids[part] = *id;
      }
      entries.push_back({ids[0], ids[1], {static_cast<std::uint32_t>(begin + i), ids[2]}});
    }
  }
  return entries;
}

}  // namespace openllm::tokenizer

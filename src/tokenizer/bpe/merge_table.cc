#include "tokenizer/bpe/merge_table.h"

#include <algorithm>
#include <bit>

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kAhead = 16;  // entries whose slots are loaded before their turn

}  // namespace

MergeTable::MergeTable(std::span<const Entry> entries, std::span<const TokenId> letters)
    : tags_(std::bit_ceil(std::max<std::size_t>(16, entries.size() * 2))),
      slots_(std::bit_ceil(std::max<std::size_t>(16, entries.size() * 2))),
      mask_(slots_.size() - 1) {
  set_letters(letters);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      const Entry& later = entries[i + kAhead];
      __builtin_prefetch(&slots_[hash_of(key_of(later.left, later.right)) & mask_], 1);
    }
    const std::uint64_t key = key_of(entries[i].left, entries[i].right);
    const std::uint64_t hash = hash_of(key);
    std::size_t slot = hash & mask_;
    while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
    tags_[slot] = tag_of(hash);
    slots_[slot] = {key, entries[i].merge};
    const std::size_t a = letter_of(entries[i].left);
    const std::size_t b = letter_of(entries[i].right);
    if (a != 0 && b != 0) letter_pairs_[a * kLetters + b] = entries[i].merge;
  }
}

void MergeTable::set_letters(std::span<const TokenId> letters) {
  if (letters.empty()) return;
  letter_pairs_.assign(kLetters * kLetters, Merge{kNoRank, 0});
  std::size_t next = 1;
  for (const TokenId id : letters) {
    if (id < 0 || next == kLetters) continue;
    const auto index = static_cast<std::size_t>(id);
    if (index >= letters_.size()) letters_.resize(index + 1);
    if (letters_[index] == 0) letters_[index] = static_cast<unsigned char>(next++);
  }
}

}  // namespace openllm::tokenizer

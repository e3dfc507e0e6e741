#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kAhead = 16;  // entries whose slots are loaded before their turn

}  // namespace

MergeTable::MergeTable(std::span<const Entry> entries)
    : slots_(std::bit_ceil(std::max<std::size_t>(16, entries.size() * 2))),
      mask_(slots_.size() - 1) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      const Entry& later = entries[i + kAhead];
      __builtin_prefetch(&slots_[slot_of(key_of(later.left, later.right))], 1);
    }
    const std::uint64_t key = key_of(entries[i].left, entries[i].right);
    std::size_t slot = slot_of(key);
    while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
    slots_[slot] = {key, entries[i].merge};
  }
}

}  // namespace openllm::tokenizer

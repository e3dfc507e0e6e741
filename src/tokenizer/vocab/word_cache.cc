#include "tokenizer/vocab/word_cache.h"

#include <algorithm>
#include <bit>

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMinSlots = 64;
constexpr std::size_t kMaxSlots = 1 << 14;  // 512 KiB, for the cache of a core
constexpr std::size_t kMaxLongBytes = 1 << 19;

}  // namespace

WordCache::WordCache(std::size_t text_bytes)
    : entries_(std::bit_ceil(std::clamp(text_bytes / 16, kMinSlots, kMaxSlots))),
      long_entries_(entries_.size() / 4) {}

bool WordCache::append_long(const Place& place, std::string_view word,
                            std::vector<TokenId>& out) const {
  const LongEntry* entry = find_long(place, word);
  if (entry == nullptr) return false;
  const auto ids = long_ids_.begin() + static_cast<std::ptrdiff_t>(entry->ids);
  out.insert(out.end(), ids, ids + static_cast<std::ptrdiff_t>(entry->n_ids));
  return true;
}

void WordCache::put(const Place& place, std::string_view word, std::span<const TokenId> ids) {
  if (word.size() > kMaxWordBytes) return;
  if (word.size() > kMaxShortBytes) return put_long(place, word, ids);
  if (ids.empty() || ids.size() > kMaxShortIds) return;
  Entry& entry = entries_[place.slot];
  entry.low = place.low;
  entry.high = place.high;
  entry.length = static_cast<std::uint16_t>(place.length);
  entry.n_ids = static_cast<std::uint16_t>(ids.size());
  std::copy(ids.begin(), ids.end(), entry.ids.begin());
}

void WordCache::put_long(const Place& place, std::string_view word, std::span<const TokenId> ids) {
  if (long_words_.size() + word.size() > kMaxLongBytes) {
    std::fill(long_entries_.begin(), long_entries_.end(), LongEntry{});
    long_words_.clear();
    long_ids_.clear();
  }
  LongEntry& entry = long_entries_[place.slot];
  entry.word = static_cast<std::uint32_t>(long_words_.size());
  entry.length = static_cast<std::uint32_t>(word.size());
  entry.ids = static_cast<std::uint32_t>(long_ids_.size());
  entry.n_ids = static_cast<std::uint32_t>(ids.size());
  long_words_ += word;
  long_ids_.insert(long_ids_.end(), ids.begin(), ids.end());
}

}  // namespace openllm::tokenizer

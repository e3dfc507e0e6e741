#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab/short_bytes.h"

namespace openllm::tokenizer {

/// Words seen in one call and their tokens, in bounded memory. Each hash has one place; the newest
/// word wins.
class WordCache {
 public:
  static constexpr std::size_t kMaxWordBytes = 128;  // longer ones seldom come again

  /// `text_bytes`: approximate length of the text.
  explicit WordCache(std::size_t text_bytes);

  /// The place of a word in the cache, whether it is there or not.
  struct Place {
    std::uint64_t low = 0, high = 0;  // the bytes of a short word
    std::uint32_t slot = 0;
    std::uint32_t length = 0;
  };
  /// Finds the place of `word` (not empty) and begins to load it. To look for many words, find all
  /// their places first.
  Place find_place(std::string_view word) const noexcept {
    Place place;
    place.length = static_cast<std::uint32_t>(std::min(word.size(), kMaxWordBytes + 1));
    if (word.size() > kMaxShortBytes) {
      if (word.size() > kMaxWordBytes) return place;
      place.slot = static_cast<std::uint32_t>(hash_bytes(word) & (long_entries_.size() - 1));
      __builtin_prefetch(&long_entries_[place.slot]);
      return place;
    }
    if (word.size() <= 8) {
      place.low = load_up_to_8(word.data(), word.size());
    } else {
      place.low = load_8(word.data());
      place.high = load_up_to_8(word.data() + 8, word.size() - 8);
    }
    place.slot = static_cast<std::uint32_t>(hash_of(place) & (entries_.size() - 1));
    __builtin_prefetch(&entries_[place.slot]);
    return place;
  }

  bool holds(const Place& place, std::string_view word) const noexcept {
    if (place.length > kMaxShortBytes) return find_long(place, word) != nullptr;
    const Entry& entry = entries_[place.slot];
    return entry.low == place.low && entry.high == place.high && entry.length == place.length;
  }
  /// Appends the tokens of `word` if it is in the cache.
  bool append(const Place& place, std::string_view word, std::vector<TokenId>& out) const {
    if (place.length > kMaxShortBytes) return append_long(place, word, out);
    if (!holds(place, word)) return false;
    const Entry& entry = entries_[place.slot];
    out.push_back(entry.ids[0]);
    for (std::size_t i = 1; i < entry.n_ids; ++i) out.push_back(entry.ids[i]);
    return true;
  }
  void put(const Place& place, std::string_view word, std::span<const TokenId> ids);

 private:
  static constexpr std::size_t kMaxShortBytes = 16;
  static constexpr std::size_t kMaxShortIds = 3;

  /// A word of up to 16 bytes and its up to three tokens: half a cache line, and most words of a
  /// text are found by one look. Length 0: nothing is here.
  struct Entry {
    std::uint64_t low = 0, high = 0;
    std::uint16_t length = 0, n_ids = 0;
    std::array<TokenId, kMaxShortIds> ids{};
  };
  /// A longer word; where it and its tokens are in the blocks below.
  struct LongEntry {
    std::uint32_t word = 0, length = 0;
    std::uint32_t ids = 0, n_ids = 0;
  };

  static std::uint64_t hash_of(const Place& place) noexcept {
    const std::uint64_t x = (place.low ^ place.length) * 0x9E3779B97F4A7C15ULL;
    const std::uint64_t y = (x ^ (x >> 32U) ^ place.high) * 0xC2B2AE3D27D4EB4FULL;
    return y >> 32U;
  }
  const LongEntry* find_long(const Place& place, std::string_view word) const noexcept {
    const LongEntry& entry = long_entries_[place.slot];
    const bool is_here = entry.length == word.size() &&
                         equal_bytes(long_words_.data() + entry.word, word.data(), word.size());
    return is_here ? &entry : nullptr;
  }
  bool append_long(const Place& place, std::string_view word, std::vector<TokenId>& out) const;
  void put_long(const Place& place, std::string_view word, std::span<const TokenId> ids);

  std::vector<Entry> entries_;  // powers of two of them
  std::vector<LongEntry> long_entries_;
  std::string long_words_;
  std::vector<TokenId> long_ids_;
};

}  // namespace openllm::tokenizer

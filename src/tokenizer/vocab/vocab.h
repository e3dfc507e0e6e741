#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab/short_bytes.h"

namespace openllm::tokenizer {

/// Map from strings to ids. If a string occurs several times, its last id counts. The strings lie
/// in one block of memory.
class StringIds {
 public:
  void reserve(std::size_t n_strings, std::size_t n_bytes);
  /// Returns the offset of the string in the block.
  std::uint32_t set(std::string_view text, TokenId id);
  std::optional<TokenId> find(std::string_view text) const noexcept {
    return find(text, hash_bytes(text));
  }
  /// The same with a known hash. To look for many strings, `prefetch` all of them first: the tables
  /// of large vocabularies do not fit the caches.
  std::optional<TokenId> find(std::string_view text, std::uint64_t hash) const noexcept {
    if (slots_.empty()) return std::nullopt;
    const Slot& slot = slots_[slot_of(text, hash)];
    return slot.id < 0 ? std::nullopt : std::optional(slot.id);
  }
  void prefetch(std::uint64_t hash) const noexcept {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  }
  std::size_t size() const noexcept { return n_strings_; }
  std::size_t n_bytes() const noexcept { return bytes_.size(); }
  std::string_view text_at(std::uint32_t begin, std::uint32_t length) const noexcept {
    return {bytes_.data() + begin, length};
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // of the hash, so that most misses need no look at the string
    std::uint32_t begin = 0;
    std::uint32_t length = 0;
    TokenId id = -1;  // an empty slot
  };
  std::size_t slot_of(std::string_view text, std::uint64_t hash) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].id >= 0 && !holds(slots_[i], text, hash)) i = (i + 1) & mask;
    return i;
  }
  bool holds(const Slot& slot, std::string_view text, std::uint64_t hash) const noexcept {
    return slot.tag == static_cast<std::uint32_t>(hash >> 32U) && slot.length == text.size() &&
           equal_bytes(bytes_.data() + slot.begin, text.data(), text.size());
  }
  void grow(std::size_t n_slots);

  std::string bytes_;
  std::vector<Slot> slots_;  // a power of two of them, at most half full
  std::size_t n_strings_ = 0;
};

/// Token ids and their spellings. Ids may have holes.
class Vocab {
 public:
  /// Whether a vocabulary of `n_tokens` tokens may have this id. Keeps holes from costing memory.
  static bool is_plausible_id(std::int64_t id, std::size_t n_tokens) noexcept;

  void reserve(std::size_t n_tokens, std::size_t n_bytes);
  /// An empty spelling leaves a hole. `id` must be plausible.
  void set(TokenId id, std::string_view piece);

  int size() const noexcept { return static_cast<int>(spans_.size()); }
  std::string_view piece(TokenId id) const noexcept {
    if (id < 0 || id >= size()) return {};
    const Span& span = spans_[static_cast<std::size_t>(id)];
    return ids_.text_at(span.begin, span.length);
  }
  std::optional<TokenId> find(std::string_view piece) const noexcept { return ids_.find(piece); }
  /// See StringIds.
  std::optional<TokenId> find(std::string_view piece, std::uint64_t hash) const noexcept {
    return ids_.find(piece, hash);
  }
  void prefetch(std::uint64_t hash) const noexcept { ids_.prefetch(hash); }
  /// Whether `find` gives this token for its spelling: no later token has the same spelling.
  bool is_found(TokenId id) const noexcept {
    const std::string_view text = piece(id);
    return !text.empty() && (n_pieces_ == ids_.size() || find(text) == id);
  }
  std::size_t n_bytes() const noexcept { return ids_.n_bytes(); }
  /// Length of the longest spelling that `find` may find.
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }
  std::size_t longest_chars() const noexcept { return longest_chars_; }

 private:
  struct Span {
    std::uint32_t begin = 0;
    std::uint32_t length = 0;
  };
  StringIds ids_;
  std::vector<Span> spans_;
  std::size_t n_pieces_ = 0;
  std::size_t longest_bytes_ = 0;
  std::size_t longest_chars_ = 0;
};

}  // namespace openllm::tokenizer

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// A fast hash of short strings.
std::uint64_t hash_bytes(std::string_view text) noexcept;

/// Strings to ids: a set of pairs, of equal strings the last id counts. Keeps the strings in one
/// block.
class StringIds {
 public:
  void reserve(std::size_t n_strings, std::size_t n_bytes);
  void set(std::string_view text, TokenId id);
  std::optional<TokenId> find(std::string_view text) const noexcept;
  /// Begins to load what a look at `text` will need: tables of large vocabularies are far away.
  void prefetch(std::string_view text) const noexcept {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash_bytes(text) & (slots_.size() - 1)]);
  }
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::size_t begin;
    std::uint32_t length;
    TokenId id;
  };
  std::string_view text_of(const Entry& entry) const noexcept {
    return {bytes_.data() + entry.begin, entry.length};
  }
  /// A slot names an entry (plus one; 0: empty) and 32 bits of its hash, so that most misses cost
  /// one look.
  struct Slot {
    std::uint32_t entry = 0;
    std::uint32_t tag = 0;
  };
  std::size_t slot_of(std::string_view text, std::uint64_t hash) const noexcept;
  void grow(std::size_t n_slots);

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // a power of two of them, at most half full
};

/// Token ids and their spellings. Ids may have holes.
class Vocab {
 public:
  /// Ids that no sane vocabulary of `n_tokens` tokens has; keeps holes from costing memory.
  static bool is_plausible_id(std::int64_t id, std::size_t n_tokens) noexcept;

  void reserve(std::size_t n_tokens, std::size_t n_bytes);
  /// An empty spelling leaves a hole. `id` must be plausible.
  void set(TokenId id, std::string_view piece);

  int size() const noexcept { return static_cast<int>(spans_.size()); }
  std::string_view piece(TokenId id) const noexcept;
  std::optional<TokenId> find(std::string_view piece) const noexcept { return ids_.find(piece); }
  void prefetch(std::string_view piece) const noexcept { ids_.prefetch(piece); }
  /// Of all spellings that `find` may find.
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }
  std::size_t longest_chars() const noexcept { return longest_chars_; }

 private:
  struct Span {
    std::size_t begin = 0;
    std::size_t length = 0;
  };
  StringIds ids_;
  std::string bytes_;
  std::vector<Span> spans_;
  std::size_t longest_bytes_ = 0;
  std::size_t longest_chars_ = 0;
};

}  // namespace openllm::tokenizer

#include "tokenizer/vocab/vocab.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 24U;

std::size_t count_chars(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

void StringIds::reserve(std::size_t n_strings, std::size_t n_bytes) {
  bytes_.reserve(n_bytes);
  grow(std::bit_ceil(std::max<std::size_t>(16, n_strings * 2)));
}

void StringIds::grow(std::size_t n_slots) {
  std::vector<Slot> old(n_slots);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    const std::string_view text = text_at(slot.begin, slot.length);
    slots_[slot_of(text, hash_bytes(text))] = slot;
  }
}

std::uint32_t StringIds::set(std::string_view text, TokenId id) {
  if (text.size() > kMaxPieceBytes) {
    base::fail(ErrorCode::kCorruptData, "tokenizer: token ", id, " is too long (at most ",
               kMaxPieceBytes, " bytes, got ", text.size(), ")");
  }
  if ((n_strings_ + 1) * 2 > slots_.size()) grow(std::max<std::size_t>(16, slots_.size() * 2));
  const std::uint64_t hash = hash_bytes(text);
  Slot& slot = slots_[slot_of(text, hash)];
  if (slot.id < 0) {
    if (bytes_.size() > std::numeric_limits<std::uint32_t>::max() - text.size()) {
      base::fail(ErrorCode::kCorruptData,
                 "tokenizer: the tokens are too long together (at most 4 GiB)");
    }
    slot.tag = static_cast<std::uint32_t>(hash >> 32U);
    slot.begin = static_cast<std::uint32_t>(bytes_.size());
    slot.length = static_cast<std::uint32_t>(text.size());
    bytes_.append(text);
    ++n_strings_;
  }
  slot.id = id;
  return slot.begin;
}

bool Vocab::is_plausible_id(std::int64_t id, std::size_t n_tokens) noexcept {
  constexpr std::int64_t kSlack = 1 << 16;
  const auto limit =
      static_cast<std::int64_t>(std::min<std::size_t>(n_tokens, 1U << 28U)) * 4 + kSlack;
  return id >= 0 && id < limit;
}

void Vocab::reserve(std::size_t n_tokens, std::size_t n_bytes) {
  ids_.reserve(n_tokens, n_bytes);
  spans_.reserve(n_tokens);
}

void Vocab::set(TokenId id, std::string_view piece) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= spans_.size()) spans_.resize(index + 1);
  if (piece.empty()) return;
  spans_[index] = {ids_.set(piece, id), static_cast<std::uint32_t>(piece.size())};
  ++n_pieces_;
  longest_bytes_ = std::max(longest_bytes_, piece.size());
  longest_chars_ = std::max(longest_chars_, count_chars(piece));
}

}  // namespace openllm::tokenizer

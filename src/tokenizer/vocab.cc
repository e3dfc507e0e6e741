#include "tokenizer/vocab.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 24U;

std::uint64_t load(const char* data, std::size_t n) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, data, n);
  return word;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15ULL;
  return x ^ std::rotr(x, 29);
}

std::size_t count_chars(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

std::uint64_t hash_bytes(std::string_view text) noexcept {
  const char* data = text.data();
  std::size_t n = text.size();
  std::uint64_t hash = 0x2545F4914F6CDD1DULL ^ n;
  for (; n > 8; n -= 8, data += 8) hash = mix(hash, load(data, 8));
  return mix(mix(hash, load(data, n)), 0);
}

void StringIds::reserve(std::size_t n_strings, std::size_t n_bytes) {
  entries_.reserve(n_strings);
  bytes_.reserve(n_bytes);
  grow(std::bit_ceil(std::max<std::size_t>(16, n_strings * 2)));
}

std::size_t StringIds::slot_of(std::string_view text, std::uint64_t hash) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32U);
  std::size_t slot = hash & mask;
  while (slots_[slot].entry != 0 &&
         (slots_[slot].tag != tag || text_of(entries_[slots_[slot].entry - 1]) != text)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void StringIds::grow(std::size_t n_slots) {
  slots_.assign(n_slots, {});
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::string_view text = text_of(entries_[i]);
    const std::uint64_t hash = hash_bytes(text);
    slots_[slot_of(text, hash)] = {static_cast<std::uint32_t>(i + 1),
                                   static_cast<std::uint32_t>(hash >> 32U)};
  }
}

void StringIds::set(std::string_view text, TokenId id) {
  if (text.size() > kMaxPieceBytes) {
    base::fail(ErrorCode::kCorruptData, "tokenizer: token ", id, " is too long (at most ",
               kMaxPieceBytes, " bytes, got ", text.size(), ")");
  }
  if ((entries_.size() + 1) * 2 > slots_.size()) grow(std::max<std::size_t>(16, slots_.size() * 2));
  const std::uint64_t hash = hash_bytes(text);
  const std::size_t slot = slot_of(text, hash);
  if (slots_[slot].entry != 0) {
    entries_[slots_[slot].entry - 1].id = id;
    return;
  }
  entries_.push_back({bytes_.size(), static_cast<std::uint32_t>(text.size()), id});
  bytes_.append(text);
  slots_[slot] = {static_cast<std::uint32_t>(entries_.size()),
                  static_cast<std::uint32_t>(hash >> 32U)};
}

std::optional<TokenId> StringIds::find(std::string_view text) const noexcept {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t entry = slots_[slot_of(text, hash_bytes(text))].entry;
  if (entry == 0) return std::nullopt;
  return entries_[entry - 1].id;
}

bool Vocab::is_plausible_id(std::int64_t id, std::size_t n_tokens) noexcept {
  constexpr std::int64_t kSlack = 1 << 16;
  const auto limit =
      static_cast<std::int64_t>(std::min<std::size_t>(n_tokens, 1U << 28U)) * 4 + kSlack;
  return id >= 0 && id < limit;
}

void Vocab::reserve(std::size_t n_tokens, std::size_t n_bytes) {
  ids_.reserve(n_tokens, n_bytes);
  bytes_.reserve(n_bytes);
  spans_.reserve(n_tokens);
}

void Vocab::set(TokenId id, std::string_view piece) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= spans_.size()) spans_.resize(index + 1);
  if (piece.empty()) return;
  ids_.set(piece, id);
  spans_[index] = {bytes_.size(), piece.size()};
  bytes_.append(piece);
  longest_bytes_ = std::max(longest_bytes_, piece.size());
  longest_chars_ = std::max(longest_chars_, count_chars(piece));
}

std::string_view Vocab::piece(TokenId id) const noexcept {
  if (id < 0 || id >= size()) return {};
  const Span& span = spans_[static_cast<std::size_t>(id)];
  return std::string_view(bytes_).substr(span.begin, span.length);
}

}  // namespace openllm::tokenizer

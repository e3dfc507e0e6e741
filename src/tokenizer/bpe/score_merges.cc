#include "tokenizer/bpe/score_merges.h"

#include <algorithm>
#include <bit>
#include <string_view>

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxMergedBytes = 1024;  // bounds the work for each byte of a vocabulary
// Number of spellings, and of places of right parts in the hash table, that are loaded ahead.
constexpr std::size_t kAhead = 16;
constexpr std::size_t kBlock = 64;

/// A token with the beginning of its spelling as a number, so that sorting seldom looks at the
/// rest.
struct SortedToken {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  const char* data = nullptr;
  std::uint32_t length = 0;
  TokenId id = 0;

  std::string_view text() const noexcept { return {data, length}; }
};

/// Up to 8 bytes as a number that compares as they do.
std::uint64_t big_endian(std::string_view text) noexcept {
  std::uint64_t number = 0;
  if (std::endian::native == std::endian::little && text.size() >= 8)
    return __builtin_bswap64(load_8(text.data()));
  for (std::size_t i = 0; i < 8; ++i)
    number = (number << 8U) | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  return number;
}

bool is_continuation(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

class ScoreMerges {
 public:
  ScoreMerges(const Vocab& vocab, std::span<const unsigned char> roles)
      : vocab_(vocab), roles_(roles), ranks_(roles.size()) {}

  void rank(std::span<const float> scores) {
    std::vector<TokenId> order;
    order.reserve(roles_.size());
    for (TokenId id = 0; id < static_cast<TokenId>(roles_.size()); ++id) {
      if (has_role(id, kMergeResult)) order.push_back(id);
    }
    const auto score_of = [&](TokenId id) { return scores[static_cast<std::size_t>(id)]; };
    const auto higher = [&](TokenId a, TokenId b) { return score_of(a) > score_of(b); };
    if (!std::is_sorted(order.begin(), order.end(), higher))
      std::stable_sort(order.begin(), order.end(), higher);
    std::uint32_t rank = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && score_of(order[i]) != score_of(order[i - 1])) ++rank;
      ranks_[static_cast<std::size_t>(order[i])] = rank;
    }
  }

  /// In the order of the spellings the tokens that begin a token stand right before it, one in the
  /// other: a stack of them gives all left parts without a look at the hash table.
  std::vector<MergeTable::Entry> find_merges() {
    entries_.reserve(roles_.size() * 2);
    std::vector<Prefix> prefixes;
    const std::vector<SortedToken> tokens = sort_tokens();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i + kAhead < tokens.size()) __builtin_prefetch(tokens[i + kAhead].data);
      const SortedToken& token = tokens[i];
      const std::string_view text = token.text();
      while (!prefixes.empty() && !begins_with(text, prefixes.back().text)) prefixes.pop_back();
      if (has_role(token.id, kMergeResult)) {
        for (const Prefix& left : prefixes) add_candidate(token.id, left, text);
      }
      if (has_role(token.id, kMergePart)) prefixes.push_back({token.id, text});
    }
    finish_candidates();
    return std::move(entries_);
  }

 private:
  struct Prefix {
    TokenId id;
    std::string_view text;
  };
  struct Candidate {
    TokenId result, left;
    std::string_view right;
    std::uint64_t hash;
  };

  static bool begins_with(std::string_view text, std::string_view prefix) noexcept {
    return text.size() >= prefix.size() && equal_bytes(text.data(), prefix.data(), prefix.size());
  }
  bool has_role(TokenId id, MergeRole role) const noexcept {
    return (roles_[static_cast<std::size_t>(id)] & role) != 0;
  }

  std::vector<SortedToken> sort_tokens() const {
    std::vector<SortedToken> tokens;
    tokens.reserve(roles_.size());
    for (TokenId id = 0; id < static_cast<TokenId>(roles_.size()); ++id) {
      const std::string_view text = vocab_.piece(id);
      if (roles_[static_cast<std::size_t>(id)] == 0 || text.size() > kMaxMergedBytes) continue;
      tokens.push_back({big_endian(text), text.size() > 8 ? big_endian(text.substr(8)) : 0,
                        text.data(), static_cast<std::uint32_t>(text.size()), id});
    }
    std::sort(tokens.begin(), tokens.end(), [&](const SortedToken& a, const SortedToken& b) {
      if (a.first != b.first) return a.first < b.first;
      if (a.second != b.second) return a.second < b.second;
      return a.text() < b.text();
    });
    return tokens;
  }

  void add_candidate(TokenId result, const Prefix& left, std::string_view text) {
    const std::string_view right = text.substr(left.text.size());
    if (is_continuation(right.front())) return;  // not between characters
    candidates_.push_back({result, left.id, right, hash_bytes(right)});
    vocab_.prefetch(candidates_.back().hash);
    if (candidates_.size() == kBlock) finish_candidates();
  }

  void finish_candidates() {
    for (const Candidate& candidate : candidates_) {
      const auto right = vocab_.find(candidate.right, candidate.hash);
      if (!right || !has_role(*right, kMergePart)) continue;
      const std::uint32_t rank = ranks_[static_cast<std::size_t>(candidate.result)];
      entries_.push_back({candidate.left, *right, {rank, candidate.result}});
    }
    candidates_.clear();
  }

  const Vocab& vocab_;
  std::span<const unsigned char> roles_;
  std::vector<std::uint32_t> ranks_;
  std::vector<Candidate> candidates_;
  std::vector<MergeTable::Entry> entries_;
};

}  // namespace

std::vector<MergeTable::Entry> make_score_merges(const Vocab& vocab, std::span<const float> scores,
                                                 std::span<const unsigned char> roles) {
  ScoreMerges merges(vocab, roles);
  merges.rank(scores);
  return merges.find_merges();
}

}  // namespace openllm::tokenizer

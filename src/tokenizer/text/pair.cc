#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {
namespace {

/// As the Hugging Face library's "longest first": the longer text gives way until both are alike.
std::pair<std::size_t, std::size_t> cut_longest(std::size_t first, std::size_t second,
                                                std::size_t room) {
  if (first + second <= room) return {first, second};
  const bool swaps = first > second;
  std::size_t small = std::min(first, second);
  std::size_t big = small > room ? small : std::max(small, room - small);
  if (small + big > room) {
    small = room / 2;
    big = room - small;
  }
  return swaps ? std::pair{big, small} : std::pair{small, big};
}

}  // namespace

std::optional<std::span<const PairPart>> Tokenizer::pair_parts() const noexcept {
  static constexpr std::array<PairPart, 2> kBoth = {
      {{PairPart::Kind::kFirst, 0, 0}, {PairPart::Kind::kSecond, 0, 1}}};
  return std::span<const PairPart>(kBoth);
}

PairEncoding Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                    const PairOptions& options) const {
  const auto parts = pair_parts();
  if (!parts) {
    base::fail(ErrorCode::kUnsupported,
               "tokenizer.json: post_processor: has no form for two texts that is known");
  }
  std::vector<TokenId> a = encode(first, {.add_special_tokens = false});
  std::vector<TokenId> b = encode(second, {.add_special_tokens = false});
  if (options.max_tokens > 0) {
    const auto n_beside = static_cast<std::size_t>(
        std::count_if(parts->begin(), parts->end(),
                      [](const PairPart& part) { return part.kind == PairPart::Kind::kToken; }));
    const std::size_t room = options.max_tokens - std::min(options.max_tokens, n_beside);
    const auto [n_a, n_b] = cut_longest(a.size(), b.size(), room);
    a.resize(n_a);
    b.resize(n_b);
  }
  PairEncoding pair;
  for (const PairPart& part : *parts) {
    if (part.kind == PairPart::Kind::kToken) {
      pair.ids.push_back(part.id);
    } else {
      const std::vector<TokenId>& text = part.kind == PairPart::Kind::kFirst ? a : b;
      pair.ids.insert(pair.ids.end(), text.begin(), text.end());
    }
    pair.types.resize(pair.ids.size(), part.type);
  }
  return pair;
}

}  // namespace openllm::tokenizer

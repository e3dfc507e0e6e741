#include "tokenizer/unigram/token_costs.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/unicode/unicode.h"
#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {
namespace {

constexpr std::int64_t kUnknownCost = 10'000'000;
constexpr double kWorst = -20'000'000;  // tokens of this score and less are never taken
constexpr double kBest = 2'000'000'000;

}  // namespace

TokenCosts::TokenCosts(const Vocab& vocab, std::span<const float> scores,
                       const std::vector<bool>& skipped, std::vector<TokenId> byte_tokens)
    : scores_(static_cast<std::size_t>(vocab.size())), byte_tokens_(std::move(byte_tokens)) {
  std::vector<ByteTrie::Entry> entries;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    const auto index = static_cast<std::size_t>(id);
    const double score = std::round(static_cast<double>(scores[index]) * 1e4);
    if (skipped[index] || !vocab.is_found(id) || !(score > kWorst)) continue;
    scores_[index] = static_cast<std::int32_t>(std::min(score, kBest));
    entries.push_back({vocab.piece(id), id});
  }
  trie_ = ByteTrie(std::move(entries));
}

void TokenCosts::locate(std::string_view word, std::vector<Piece>& out) const {
  struct Step {
    std::int64_t cost = 0;
    std::size_t length = 0;
    TokenId id = -1;
  };
  std::vector<Step> steps(word.size() + 1);
  for (std::size_t end = word.size(); end > 0;) {
    const std::size_t begin = start_of_char_before(word, end);
    steps[begin] = {steps[end].cost + kUnknownCost, end - begin, -1};
    trie_.for_prefixes(word.substr(begin), [&](std::size_t length, TokenId id) {
      const std::int64_t cost = steps[begin + length].cost - scores_[static_cast<std::size_t>(id)];
      if (cost <= steps[begin].cost) steps[begin] = {cost, length, id};
    });
    end = begin;
  }
  for (std::size_t at = 0; at < word.size();) {
    const Step& step = steps[at];
    if (step.id >= 0) out.push_back({step.id, at, at + step.length});
    for (std::size_t i = 0; step.id < 0 && i < step.length; ++i)
      out.push_back({byte_tokens_[static_cast<unsigned char>(word[at + i])], at, at + step.length});
    at += step.length;
  }
}

std::unique_ptr<Model::Session> TokenCosts::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer

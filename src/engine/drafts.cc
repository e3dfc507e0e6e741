#include "engine/drafts.h"

#include <algorithm>

namespace openllm::engine {
namespace {

// What is expected of a guess before there is experience, and what that counts.
constexpr double kPriorTested = 2.0;
constexpr double kPriorRight = 1.2;
// What older experience counts after a guess, and after a token without one: who was wrong tries
// again some dozens of tokens later.
constexpr double kKept = 0.85;
constexpr double kKeptIdle = 0.98;
// The most that all of it counts, so that a copy's end is seen within a few guesses.
constexpr double kMostTested = 8.0;
// A row must gain that much more than it costs, as costs are measured and not known.
constexpr double kMargin = 1.3;

}  // namespace

std::span<const std::int32_t> Drafts::propose(std::span<const std::int32_t> tokens, int n_most,
                                              const DraftBudget& budget) {
  const double likely = this->likely();
  int n = 0;
  double chance = likely;
  while (n < std::min(n_most, budget.rows) && chance * budget.token_s > kMargin * budget.row_s) {
    chance *= likely;
    ++n;
  }
  clear();
  if (n > 0) ngrams_.propose(tokens, n, tokens_);
  if (tokens_.empty()) pass();
  return tokens_;
}

double Drafts::likely() const noexcept {
  return (n_right_ + kPriorRight) / (n_tested_ + kPriorTested);
}

void Drafts::pass() noexcept {
  n_tested_ *= kKeptIdle;
  n_right_ *= kKeptIdle;
  clear();
}

void Drafts::take(std::span<const std::int32_t> tokens) {
  tokens_.assign(tokens.begin(), tokens.end());
  are_of_model_ = true;
}

void Drafts::learn(int n_right) noexcept {
  // A wrong one ends the test.
  n_tested_ = n_tested_ * kKept + std::min(n_right + 1, n());
  n_right_ = n_right_ * kKept + n_right;
  if (n_tested_ > kMostTested) {
    n_right_ *= kMostTested / n_tested_;
    n_tested_ = kMostTested;
  }
  clear();
}

}  // namespace openllm::engine

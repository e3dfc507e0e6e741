#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/ngrams.h"
#include "engine/step_costs.h"

namespace openllm::engine {

/// What a step of decodes leaves for tokens that are only guessed.
struct DraftBudget {
  int rows = 0;  ///< Of the step, with logits.
  /// Seconds that a row may take to be worth it if its token surely comes: what a token costs now.
  double token_s = 0;
  double row_s = 0;
};

/// Guesses a sequence's next tokens and learns how often it is right. The step then computes them
/// as if they were known; those that the model would have drawn itself are kept.
class Drafts {
 public:
  /// The guess for the next step, at most `n_most` tokens: as many as are worth their rows.
  std::span<const std::int32_t> propose(std::span<const std::int32_t> tokens, int n_most,
                                        const DraftBudget& budget);
  /// Takes what a draft model guesses instead.
  void take(std::span<const std::int32_t> tokens);
  /// Whether the guess is a draft model's: it learns from it, and `learn` does not.
  bool are_of_model() const noexcept { return are_of_model_; }
  /// Chance that a guess of `propose` is right; whether that is more than a prejudice.
  double likely() const noexcept;
  bool are_tested() const noexcept { return n_tested_ >= 1.0; }
  /// There is a guess, but a better one too.
  void pass() noexcept;
  std::span<const std::int32_t> tokens() const noexcept { return tokens_; }
  int n() const noexcept { return static_cast<int>(tokens_.size()); }
  void keep(int n) {
    if (n < this->n()) tokens_.resize(static_cast<std::size_t>(n > 0 ? n : 0));
  }
  void clear() noexcept {
    tokens_.clear();
    are_of_model_ = false;
  }
  /// So many of the guess were what the model drew.
  void learn(int n_right) noexcept;

 private:
  Ngrams ngrams_{};
  std::vector<std::int32_t> tokens_{};
  bool are_of_model_ = false;
  // Guesses that were put to the test, old ones counting less, and a few that never were.
  double n_tested_ = 0;
  double n_right_ = 0;
};

}  // namespace openllm::engine

#pragma once

#include <array>
#include <cstddef>

namespace openllm::engine {

/// How often a draft model guesses what the model draws, by how sure it is. Learnt from the guesses
/// of all sequences, old ones counting less.
class DraftOdds {
 public:
  DraftOdds() noexcept;
  /// Chance that a guess comes true to which the draft model gave this probability.
  double chance(float probability) const noexcept;
  /// The same of a guess that is yet to be made.
  double mean() const noexcept { return mean_.chance(); }
  void learn(float probability, bool is_right) noexcept;
  /// So few were put to the test that a guess is worth it for what it tells.
  bool are_new() const noexcept { return n_learnt_ < kFirst; }
  /// One that was too unsure to be put to the test.
  void note_untested(float probability) noexcept;

 private:
  struct Count {
    double n_tested = 0;
    double n_right = 0;
    double chance() const noexcept { return n_right / n_tested; }
    void add(double right, double most) noexcept;
  };
  static constexpr std::size_t kBins = 10;
  static std::size_t bin_of(float probability) noexcept;

  std::array<Count, kBins> bins_{};  // by probability, all as wide
  Count mean_{};
  static constexpr int kFirst = 8;
  int n_learnt_ = 0;
};

/// How much better or worse the guesses are in one text than DraftOdds expect.
class DraftLuck {
 public:
  double factor() const noexcept;
  void learn(double expected, bool is_right) noexcept;
  /// A token without a guess: what is known grows old.
  void rest() noexcept;

 private:
  double n_expected_ = 0;
  double n_right_ = 0;
};

/// What a sequence's token costs and what guesses add, in seconds.
struct GuessCosts {
  double token_s = 0;  ///< A token without guesses.
  double row_s = 0;    ///< A row more in the step.
  double draft_s = 0;  ///< The draft model's time for a guess.
};

/// Seconds for a token with the best number of guesses up to `n_most`, each right with this chance
/// where those before it were; `token_s` when none are best.
double best_token_s(double chance, int n_most, const GuessCosts& costs) noexcept;

/// Of whatever chance was learnt, as nothing is ever certain.
constexpr double kMostChance = 0.98;

}  // namespace openllm::engine

#include "engine/draft_odds.h"

#include <algorithm>

namespace openllm::engine {
namespace {

// What is known beforehand counts as so many guesses: that models are a bit too sure of themselves,
// and that a draft model which somebody chose is right more often than not.
constexpr double kPriorTested = 3.0;
constexpr double kPriorTrust = 0.9;
constexpr double kPriorMean = 0.65;
// The most that experience counts, so that another kind of text is seen within some dozens.
constexpr double kMostOfBin = 48.0;
constexpr double kMostOfMean = 48.0;
// Of one text: what older guesses count after another, after a token without one, and at the start.
constexpr double kKept = 0.92;
constexpr double kKeptIdle = 0.98;
constexpr double kPriorLuck = 2.0;

}  // namespace

void DraftOdds::Count::add(double right, double most) noexcept {
  n_tested += 1;
  n_right += right;
  if (n_tested <= most) return;
  n_right *= most / n_tested;
  n_tested = most;
}

DraftOdds::DraftOdds() noexcept {
  for (std::size_t i = 0; i < kBins; ++i) {
    const double middle = (static_cast<double>(i) + 0.5) / kBins;
    bins_[i] = {kPriorTested, kPriorTested * kPriorTrust * middle};
  }
  mean_ = {kPriorTested, kPriorTested * kPriorMean};
}

std::size_t DraftOdds::bin_of(float probability) noexcept {
  const float place = std::clamp(probability, 0.0F, 1.0F) * static_cast<float>(kBins);
  return std::min(static_cast<std::size_t>(place), kBins - 1);
}

double DraftOdds::chance(float probability) const noexcept {
  return bins_[bin_of(probability)].chance();
}

void DraftOdds::learn(float probability, bool is_right) noexcept {
  const double right = is_right ? 1.0 : 0.0;
  bins_[bin_of(probability)].add(right, kMostOfBin);
  mean_.add(right, kMostOfMean);
  if (are_new()) ++n_learnt_;
}

void DraftOdds::note_untested(float probability) noexcept {
  mean_.add(chance(probability), kMostOfMean);
}

double DraftLuck::factor() const noexcept {
  return (n_right_ + kPriorLuck) / (n_expected_ + kPriorLuck);
}

void DraftLuck::learn(double expected, bool is_right) noexcept {
  n_expected_ = n_expected_ * kKept + expected;
  n_right_ = n_right_ * kKept + (is_right ? 1.0 : 0.0);
}

void DraftLuck::rest() noexcept {
  n_expected_ *= kKeptIdle;
  n_right_ *= kKeptIdle;
}

double best_token_s(double chance, int n_most, const GuessCosts& costs) noexcept {
  double best = costs.token_s;
  double tokens = 1;
  double spent = costs.token_s;
  double all_right = 1;
  for (int i = 0; i < n_most; ++i) {
    all_right *= chance;
    tokens += all_right;
    spent += costs.row_s + costs.draft_s;
    best = std::min(best, spent / tokens);
  }
  return best;
}

}  // namespace openllm::engine

#include "engine/step_costs.h"

#include <algorithm>
#include <cstddef>

namespace openllm::engine {
namespace {

// So that no part vanishes: it could never grow again.
constexpr double kLeastCost = 1e-13;

using Parts = std::array<double, 6>;

/// How often each part of the costs occurs, in the order of `costs_of`.
Parts counts_of(const StepShape& shape) noexcept {
  const bool alone = shape.decode_rows == 0;
  return {1.0,
          shape.decode_rows,
          shape.decode_keys,
          alone ? 0.0 : shape.prompt_rows,
          alone ? shape.prompt_rows : 0.0,
          shape.prompt_keys};
}

std::array<double*, 6> costs_of(StepCosts& costs) noexcept {
  return {&costs.fixed,
          &costs.decode_row,
          &costs.decode_key,
          &costs.prompt_row_beside,
          &costs.prompt_row_alone,
          &costs.prompt_key};
}

}  // namespace

double seconds(const StepCosts& costs, const StepShape& shape) noexcept {
  StepCosts copy = costs;
  const Parts counts = counts_of(shape);
  const auto parts = costs_of(copy);
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) sum += counts[i] * *parts[i];
  return sum;
}

void CostModel::observe(const StepShape& shape, double measured_s) noexcept {
  if (measured_s <= 0) return;
  const Parts counts = counts_of(shape);
  const auto costs = costs_of(costs_);
  const double expected = seconds(costs_, shape);
  if (!costs_.measured) {  // the guesses are right in their proportions at best
    for (double* cost : costs) *cost *= measured_s / expected;
    costs_.measured = true;
  }
  Parts share{};
  double sum_of_squares = 0;
  for (std::size_t i = 0; i < kParts; ++i) {
    share[i] = counts[i] * *costs[i] / seconds(costs_, shape);
    sum_of_squares += share[i] * share[i];
  }
  const double ratio = measured_s / seconds(costs_, shape);
  const bool is_settled = n_seen_[0] >= 8;
  const double error = std::clamp(ratio, is_settled ? 0.5 : 0.1, is_settled ? 2.0 : 10.0) - 1.0;
  for (std::size_t i = 0; i < kParts; ++i) {
    if (share[i] == 0) continue;
    // The first sights of a part count more than later ones.
    const double rate = std::max(0.1, 1.0 / (1.0 + n_seen_[i]));
    const double change = rate * error * share[i] / sum_of_squares;
    *costs[i] = std::max(kLeastCost, *costs[i] * std::clamp(1.0 + change, 0.2, 5.0));
    if (i == 0 || share[i] > 0.05) n_seen_[i] = std::min(n_seen_[i] + 1, 1 << 20);
  }
}

}  // namespace openllm::engine

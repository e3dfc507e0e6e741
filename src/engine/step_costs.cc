#include "engine/step_costs.h"

#include <algorithm>
#include <cstddef>

namespace openllm::engine {
namespace {

// So that no part vanishes: it could never grow again.
constexpr double kLeastCost = 1e-13;
// Steps with prompts until decodes alone are measured again.
constexpr int kDecodesDueAfter = 16;
// Steps of a kind after which an odd one is taken for an interruption.
constexpr int kSettled = 8;
// Steps in a row that err by more than this in one direction: the machine has changed.
constexpr int kInARow = 3;
constexpr double kClearly = 1.2;

}  // namespace

double seconds(const StepCosts& c, const StepShape& shape) noexcept {
  const double prompt_row = shape.decode_rows > 0 ? c.prompt_row_beside : c.prompt_row_alone;
  return c.fixed + shape.decode_rows * c.decode_row + shape.decode_keys * c.decode_key +
         shape.prompt_rows * prompt_row + shape.prompt_keys * c.prompt_key;
}

void CostModel::observe(const StepShape& shape, double measured_s) noexcept {
  if (measured_s <= 0) return;
  StepCosts& c = costs_;
  if (!c.measured) {  // the guesses are right in their proportions at best
    const double scale = measured_s / seconds(c, shape);
    for (double* cost : {&c.fixed, &c.decode_row, &c.decode_key, &c.prompt_row_beside,
                         &c.prompt_row_alone, &c.prompt_key}) {
      *cost *= scale;
    }
    c.measured = true;
    return;  // a first step also touches memory for the first time, and tells little else
  }
  if (shape.prompt_rows == 0) {
    learn_decodes(shape, measured_s);
    n_since_ = 0;
  } else {
    learn_prompts(shape, measured_s);
    ++n_since_;
  }
  c.decodes_due = decodes_.n_seen == 0 || n_since_ >= kDecodesDueAfter;
}

void CostModel::learn_decodes(const StepShape& shape, double measured_s) noexcept {
  const Part parts[] = {{costs_.fixed, 1},
                        {costs_.decode_row, shape.decode_rows},
                        {costs_.decode_key, shape.decode_keys}};
  // One after many steps with prompts stands for as many.
  if (n_since_ >= kDecodesDueAfter) decodes_.n_over = decodes_.n_under = kInARow - 1;
  correct(parts, seconds(costs_, shape), measured_s, decodes_);
}

void CostModel::learn_prompts(const StepShape& shape, double measured_s) noexcept {
  const bool beside = shape.decode_rows > 0;
  double& row = beside ? costs_.prompt_row_beside : costs_.prompt_row_alone;
  // Alone they tell of the fixed part too: there may never be a step of decodes alone.
  const Part parts[] = {{row, shape.prompt_rows},
                        {costs_.prompt_key, shape.prompt_keys},
                        {costs_.fixed, beside ? 0.0 : 1.0}};
  correct(parts, seconds(costs_, shape), measured_s, beside ? beside_ : alone_);
  // What was never seen is most likely like the other.
  if (beside_.n_seen == 0) costs_.prompt_row_beside = costs_.prompt_row_alone;
  if (alone_.n_seen == 0) costs_.prompt_row_alone = costs_.prompt_row_beside;
}

double CostModel::Kind::rate(double ratio) noexcept {
  n_over = ratio > kClearly ? n_over + 1 : 0;
  n_under = ratio < 1 / kClearly ? n_under + 1 : 0;
  const double usual = std::max(n_over, n_under) >= kInARow ? 0.4 : 0.12;
  return std::max(usual, 1.0 / (1 + n_seen++));  // the first ones count more than later ones
}

template <std::size_t N>
void CostModel::correct(const Part (&parts)[N], double expected_s, double measured_s,
                        Kind& kind) noexcept {
  const double ratio = measured_s / expected_s;
  const bool is_settled = kind.n_seen >= kSettled;
  const double error = std::clamp(ratio, is_settled ? 0.5 : 0.1, is_settled ? 2.0 : 10.0) - 1;
  const double rate = kind.rate(ratio);
  double squares = 0.01;  // parts that hardly contributed are not changed by much
  for (const Part& part : parts) {
    const double share = part.cost * part.count / expected_s;
    squares += share * share;
  }
  for (const Part& part : parts) {
    const double change = rate * error * part.cost * part.count / expected_s / squares;
    part.cost = std::max(kLeastCost, part.cost * std::clamp(1 + change, 0.3, 4.0));
  }
}

}  // namespace openllm::engine

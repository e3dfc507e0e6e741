#pragma once

#include <array>
#include <cstdint>

namespace openllm::engine {

/// What a step computes, as far as its time depends on it.
struct StepShape {
  double decode_rows = 0;  ///< Rows of sequences that draw a token from each row.
  double decode_keys = 0;  ///< Keys that those rows attend to, all together.
  double prompt_rows = 0;
  double prompt_keys = 0;
};

/// Seconds that the parts of a step take. A row of a prompt costs more in a small chunk beside
/// decodes than in a large one alone, so that there are two figures for it.
struct StepCosts {
  double fixed = 1e-3;
  double decode_row = 3e-4;
  double decode_key = 1e-8;
  double prompt_row_beside = 5e-4;
  double prompt_row_alone = 5e-4;
  double prompt_key = 1e-8;
  bool measured = false;  ///< False: nothing is known yet, and the above are guesses.
};

double seconds(const StepCosts& costs, const StepShape& shape) noexcept;

/// Learns the costs from measured steps.
///
/// Each step corrects the parts in proportion to what they contributed to it (Kaczmarz' projection,
/// in the metric of the costs themselves), so that costs stay positive, a part that did not occur
/// keeps its value for as long as it likes, and what occurs is forgotten within some dozens of
/// steps. A step counts at most as twice and at least as half of what was expected: one that the
/// machine interrupted changes little, and a machine that is slower from now on is followed.
class CostModel {
 public:
  const StepCosts& costs() const noexcept { return costs_; }
  /// Steps that took no time, as on clocks that stand still, tell nothing.
  void observe(const StepShape& shape, double measured_s) noexcept;

 private:
  static constexpr std::size_t kParts = 6;

  StepCosts costs_;
  std::array<int, kParts> n_seen_{};  // steps in which the part mattered
};

}  // namespace openllm::engine

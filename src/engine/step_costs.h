#pragma once

#include <cstdint>

namespace openllm::engine {

/// What a step computes, as far as its time depends on it.
struct StepShape {
  double decode_rows = 0;  ///< Rows of sequences that draw a token from each row.
  double decode_keys = 0;  ///< Keys that those rows attend to, all together.
  double prompt_rows = 0;
  double prompt_keys = 0;
};

/// Seconds that the parts of a step take. A row of a prompt costs something else in a small chunk
/// beside decodes than in a large one alone, so that there are two figures for it.
struct StepCosts {
  double fixed = 3e-3;
  double decode_row = 3e-4;
  double decode_key = 3e-7;
  double prompt_row_beside = 5e-4;
  double prompt_row_alone = 5e-4;
  double prompt_key = 5e-8;
  bool measured = false;     ///< False: nothing is known yet, and the above are guesses.
  bool decodes_due = false;  ///< A step of decodes alone should be measured again.
};

double seconds(const StepCosts& costs, const StepShape& shape) noexcept;

/// Learns the costs from measured steps.
///
/// Steps of decodes alone tell what decodes cost; others what their prompts add, with the rest
/// taken as known. (Learning all from all steps, chunks of one size would shift costs between
/// decodes and prompts, and the size follows from those.) So that the known part does not grow old
/// during a long prompt, `decodes_due` asks for a step of decodes alone now and then.
///
/// Each step corrects the parts in proportion to what they contributed to it (Kaczmarz' projection,
/// in the metric of the costs themselves): costs stay positive, a part that did not occur keeps its
/// value, and what occurs is forgotten within some dozens of steps. A step counts at most as twice
/// and at least as half of what was expected: one that the machine interrupted changes little, and
/// a machine that is slower from now on is followed.
class CostModel {
 public:
  const StepCosts& costs() const noexcept { return costs_; }
  /// Steps that took no time, as on clocks that stand still, tell nothing.
  void observe(const StepShape& shape, double measured_s) noexcept;

 private:
  struct Part {
    double& cost;
    double count;
  };
  void learn_decodes(const StepShape& shape, double measured_s) noexcept;
  void learn_prompts(const StepShape& shape, double measured_s) noexcept;
  template <std::size_t N>
  static void correct(const Part (&parts)[N], double expected_s, double measured_s, int n_seen,
                      double least_rate) noexcept;

  StepCosts costs_;
  // Steps of each kind; n_since_ counts from the last one of decodes alone.
  int n_decodes_ = 0;
  int n_beside_ = 0;
  int n_alone_ = 0;
  int n_since_ = 0;
};

}  // namespace openllm::engine

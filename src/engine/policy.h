#pragma once

#include <span>
#include <vector>

namespace openllm::engine {

/// A sequence that could run, as far as planning cares. Rows are counted from its next one.
struct Candidate {
  int n_remaining = 1;   ///< Rows until it has caught up; 1 when it is decoding.
  int report_begin = 0;  ///< Rows [report_begin, report_end) of the prompt whose logits are wanted.
  int report_end = 0;
  bool wants_last =
      true;  ///< The last remaining row's logits are wanted: a token is sampled there.
};

/// The most that a step may hold.
struct Budget {
  int rows = 0;
  int sequences = 0;
  int output_rows = 0;
};

struct PlannedRows {
  int candidate = 0;  ///< Index.
  int n_rows = 0;
};

/// Rows with logits among the first `n_rows`.
int count_output_rows(const Candidate& candidate, int n_rows) noexcept;

/// Chooses what the next step runs: decodes first, then prefill chunks, both in the order of
/// `candidates` (which is that of priority and arrival). Never exceeds `budget`. Pure: same input,
/// same plan.
void plan_step(std::span<const Candidate> candidates, Budget budget, std::vector<PlannedRows>& out);

}  // namespace openllm::engine

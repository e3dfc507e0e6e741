#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/function_ref.h"

namespace openllm::engine {

/// Rows of one sequence in a step.
struct PlanSequence {
  std::int32_t first_row = 0;
  std::int32_t n_rows = 0;
  std::int32_t past_len = 0;
  std::int32_t adapter = 0;
  /// Length the sequence was admitted with, as device::BatchSequence::rope_len.
  std::int32_t rope_len = 0;
};

/// Block ids per KV group, as device::BlockTable.
struct PlanBlockTable {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> begin;
};

/// What one step computes: a flat value that can be logged, compared, or sent to another rank.
/// Buffers keep their capacity from step to step.
struct StepPlan {
  std::vector<std::int32_t> token_ids;
  std::vector<std::int32_t> positions;
  std::vector<PlanSequence> sequences;
  std::vector<PlanBlockTable> block_tables;
  std::vector<std::int32_t> output_rows;

  void clear() {
    token_ids.clear();
    positions.clear();
    sequences.clear();
    for (auto& table : block_tables) {
      table.ids.clear();
      table.begin.clear();
    }
    output_rows.clear();
  }
};

/// Runs plans: a model on a device, or a double in tests. Called by the engine thread only.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  virtual int vocab_size() const noexcept = 0;
  /// Computes the plan and returns the logits of its output rows, [output_rows, vocab], valid until
  /// the next call. Throws openllm::Error when the step failed; the engine then fails the step's
  /// requests and goes on.
  virtual const float* run(const StepPlan& plan) = 0;
  /// Threads that stand idle between two steps, the caller's included.
  virtual int n_threads() const noexcept { return 1; }
  /// body(i) for every i in [0, n), at once on those threads. `body` must not throw.
  virtual void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) {
    for (std::size_t i = 0; i < n; ++i) body(i);
  }
};

}  // namespace openllm::engine

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/function_ref.h"
#include "step/step.h"

namespace openllm::engine {

/// Runs steps: a model on a device, or a double in tests. Called by the engine thread only.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  virtual int vocab_size() const noexcept = 0;
  /// Columns of step::Outputs::hidden; 0: it gives none.
  virtual int hidden_size() const noexcept { return 0; }
  /// Computes the step; the results are valid until the next call. Throws openllm::Error when the
  /// step failed; the engine then fails the step's requests and goes on.
  virtual step::Outputs run(const step::Step& step) = 0;
  /// What is kept of that sequence may go: it has ended, or begins again with past_len 0. Told
  /// between two steps, also of sequences that no step had.
  virtual void forget(std::int64_t /*sequence_id*/) noexcept {}
  /// Whether it finds keys and values by block tables, so that sequences can take each other's
  /// over. Else it keeps them by sequence_id, and a beam that another goes on from is computed
  /// again.
  virtual bool reads_blocks() const noexcept { return true; }
  /// Threads that stand idle between two steps, the caller's included.
  virtual int n_threads() const noexcept { return 1; }
  /// body(i) for every i in [0, n), at once on those threads. `body` must not throw.
  virtual void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) {
    for (std::size_t i = 0; i < n; ++i) body(i);
  }
};

}  // namespace openllm::engine

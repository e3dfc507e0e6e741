#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/failure.h"
#include "engine/request.h"
#include "engine/sequence.h"
#include "engine/step_runner.h"
#include "sampling/sampler.h"

namespace openllm::engine {

/// What one sequence gains from a step.
struct Drawn {
  sampling::Sample sample{};         ///< The next token, if the sequence has caught up.
  std::vector<TokenEvent> prompt{};  ///< Logprobs of the prompt tokens behind the reported rows.
  std::optional<base::Failure> failure{};  ///< Set: nothing could be drawn.
};

/// Turns the logits of a step into tokens and logprobs. Changes no sequence. Sequences do not share
/// anything here, so the runner's threads draw for several at once.
class Drawer {
 public:
  /// One result per sequence, in the order of `batch`; valid until the next call. `logits`:
  /// [output rows of the step, vocab].
  std::span<Drawn> draw(StepRunner& runner, std::span<Sequence* const> batch, const float* logits);

 private:
  std::vector<sampling::Sampler> samplers_;  // one for each draw that may run at once
  std::vector<Drawn> drawn_;
};

}  // namespace openllm::engine

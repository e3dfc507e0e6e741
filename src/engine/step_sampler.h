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

/// Result of a step for one sequence.
struct StepOutput {
  /// The next tokens, if the sequence has caught up: as many as its drafts were right, and one.
  std::vector<sampling::Sample> samples{};
  BeamExpansions expansions{};       ///< The same of a beam.
  std::vector<TokenEvent> prompt{};  ///< Logprobs of the prompt tokens behind the reported rows.
  std::optional<base::Failure> failure{};  ///< Set: nothing could be sampled.
};

/// Turns the logits of a step into tokens and logprobs. Of a sequence it changes the constraint and
/// the counts alone, which take the sampled tokens: a sequence whose output has no failure must be
/// given them, or end. Sequences do not share anything here, so the runner's threads sample for
/// several at once.
class StepSampler {
 public:
  /// One output per sequence, in the order of `batch`; valid until the next call. `logits`:
  /// [output rows of the step, vocab].
  std::span<StepOutput> sample(StepRunner& runner, std::span<Sequence* const> batch,
                               const float* logits);

 private:
  std::vector<sampling::Sampler> samplers_;  // one for each thread that may sample at once
  std::vector<StepOutput> outputs_;
};

}  // namespace openllm::engine

#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/sequence.h"
#include "sampling/sampler.h"

namespace openllm::engine {

/// What one sequence gains from a step.
struct Drawn {
  sampling::Sample sample{};         ///< The next token, if the sequence has caught up.
  std::vector<TokenEvent> prompt{};  ///< Logprobs of the prompt tokens behind the reported rows.
  std::string error{};               ///< Not empty: nothing could be drawn.
};

/// Turns the logits of a step into tokens and logprobs. Changes no sequence.
class Drawer {
 public:
  explicit Drawer(int vocab_size) : sampler_(vocab_size) {}

  /// One result per sequence, in the order of `batch`; valid until the next call. `logits`:
  /// [output rows of the step, vocab].
  std::span<Drawn> draw(std::span<Sequence* const> batch, const float* logits);

 private:
  void draw_one(const Sequence& sequence, const float* logits, Drawn& drawn);

  sampling::Sampler sampler_;
  std::vector<Drawn> drawn_;
};

}  // namespace openllm::engine

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/request.h"
#include "engine/step_runner.h"
#include "kv/kv_spec.h"
#include "openllm/stats.h"

namespace openllm::engine {

/// A second, smaller model that guesses ahead (engine/draft_model.h), and the blocks that it has.
struct DraftModelOptions {
  StepRunner* runner = nullptr;  ///< Must outlive the engine; null: there is none.
  int max_step_tokens = 512;
  int max_sequences = 64;
  int max_output_rows = 64;
  int max_model_len = 2048;
  std::vector<kv::KvGroupSpec> kv_groups{};
  std::vector<int> blocks_per_group{};
};

struct EngineOptions {
  int max_step_tokens = 512;  ///< Most rows of a step.
  int max_sequences = 64;     ///< Most sequences of a step.
  int max_output_rows = 64;   ///< Most rows with logits of a step (bounds prompt-logprob chunks).
  int max_queue = 4096;       ///< Most sequences that wait while all places are taken.
  int max_model_len = 2048;   ///< Longest sequence, prompt and answer.
  /// Longest source text, which is encoded in one step; 0: the model has no encoder.
  int max_source_len = 0;
  int block_size = 32;
  bool prefix_caching = true;
  /// Most tokens that a step guesses ahead of a sequence; 0: none. Answers are the same.
  int max_draft_tokens = 0;
  DraftModelOptions draft_model{};
  /// The model's RoPE factors depend on the length a sequence was admitted with (dynamic,
  /// longrope): sequences of different admitted length then share no prefix.
  bool rope_depends_on_length = false;
  /// The model's rows see the whole sequence: a prompt comes in one step, which
  /// `max_step_tokens` must have room for, and requests want hidden states alone.
  bool whole_sequences = false;
  bool check_invariants = false;  ///< After every step; debug builds do it anyway.
  std::vector<kv::KvGroupSpec> kv_groups{};
  std::vector<int> blocks_per_group{};
};

/// Continuous batching over one model. Owns one thread; every method may be called from any thread.
class Engine {
 public:
  /// `runner` and `clock` must outlive the engine. With `start_thread` false nothing runs by
  /// itself: tests call `step`.
  Engine(StepRunner& runner, const EngineOptions& options, const base::Clock& clock,
         bool start_thread = true);
  ~Engine();  ///< Ends every request with kCancelled.
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues a request. Throws kInvalidArgument (empty prompt, prompt + 1 > max_model_len, a source
  /// where the model has no encoder or none where it has one, one that is too long, bad ids
  /// or parameters, more choices than EngineStats::max_of_request), kBusy (no places for it in the
  /// queue), kUnavailable (shutting down), and the errors of constraint factories. max_new_tokens
  /// is clipped to the room left, in max_model_len and in the KV cache.
  void submit(Request request);
  /// Ends the request (or one choice) with kCancelled; frees its blocks before the next step.
  /// Unknown ids are ignored.
  void cancel(const std::string& id, int choice = -1);
  /// A stop found above the engine (stop string): the choice ends with kStop. Tokens sampled in the
  /// meantime are delivered and not the caller's any more. Unknown or ended choices are ignored.
  void stop_choice(const std::string& id, int choice);
  EngineStats stats() const;
  /// Ends every request with kError and `failure`, and the thread; `submit` is refused from then
  /// on. Called at most once, and not by a sink.
  void shut_down(const base::Failure& failure);

  /// One transaction: admit, plan, reserve, run, sample, commit, emit. False when there was nothing
  /// to do.
  bool step();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::engine

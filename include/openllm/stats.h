#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace openllm {

/// One of LoadOptions::places, as it is now.
struct PlaceStats {
  std::string name{};           ///< As it was given.
  bool is_up = false;           ///< It is loaded and was well when it was last seen.
  std::string reason{};         ///< What it runs on; or why it is not up.
  std::int64_t n_open = 0;      ///< Choices that it has of us.
  std::int64_t n_slots = 0;     ///< Sequences that it runs at once; 0: it does not say.
  std::int64_t n_requests = 0;  ///< Parts of requests that went there.
  std::int64_t n_failures = 0;  ///< Of these, those that it failed.
  std::int64_t n_generated_tokens = 0;
  double token_s = 0.0;  ///< Of a choice there, time for a token lately; 0: not measured yet.
};

/// Counters since the engine started, and gauges of now.
struct EngineStats {
  std::int64_t n_requests = 0;  ///< Accepted so far.
  std::int64_t n_finished = 0;  ///< Ended for whatever reason.
  std::int64_t n_running = 0;   ///< Sequences with cache blocks.
  std::int64_t n_waiting = 0;   ///< Sequences queued.
  std::int64_t n_steps = 0;
  std::int64_t n_step_rows = 0;       ///< Rows computed, all steps together.
  std::int64_t n_step_sequences = 0;  ///< Sum over the steps: / n_steps is the mean batch.
  std::int64_t n_prompt_tokens = 0;   ///< Of the accepted requests' prompts, cached ones included.
  std::int64_t n_cached_tokens = 0;   ///< Prompt tokens found in the prefix cache.
  std::int64_t n_generated_tokens = 0;
  std::int64_t n_draft_tokens = 0;        ///< Guessed ahead (LoadOptions::max_draft_tokens).
  std::int64_t n_accepted_drafts = 0;     ///< Of those, what the model drew itself.
  std::int64_t n_model_draft_tokens = 0;  ///< Of n_draft_tokens, those of LoadOptions::draft_model.
  std::int64_t n_accepted_model_drafts = 0;  ///< Of those, what the model drew itself.
  std::int64_t n_draft_model_rows = 0;  ///< Rows that the draft model computed, prompts included.
  std::int64_t n_draft_model_failures = 0;  ///< 1 when it failed and guesses no more.
  std::int64_t n_preemptions = 0;
  std::int64_t n_split_prefills = 0;  ///< Prompts computed in more than one chunk.
  std::int64_t n_blocks_total = 0;    ///< KV cache blocks.
  std::int64_t n_blocks_free = 0;     ///< Blocks no sequence holds (cached prefixes count as free).
  std::int64_t kv_bytes_total = 0;    ///< Memory of all of them.
  std::int64_t kv_bytes_touched = 0;  ///< Of those used so far: what the cache takes up now.
  std::int64_t max_running = 0;       ///< Most sequences that run at once.
  std::int64_t max_waiting = 0;       ///< Most sequences queued when all places are taken.

  // Measured; 0 until there is something to measure.
  double step_s = 0.0;             ///< Time of a step, lately.
  double prompt_rows_per_s = 0.0;  ///< Speed at which prompts are computed when nothing else runs.
  double tokens_per_s = 0.0;       ///< Tokens of answers, lately.
  double estimated_wait_s = 0.0;   ///< Until the first step of a short request submitted now.
  double draft_model_s = 0.0;  ///< Time that the draft model has taken since the engine started.

  std::vector<PlaceStats> places{};  ///< Where LoadOptions::places names some.

  /// Most sequences taken at once.
  std::int64_t max_open() const noexcept { return max_running + max_waiting; }
  /// Most choices that a request may have which comes when there are `n_open` sequences: an eighth
  /// of the places that are left is for requests after it. One that an idle engine does not
  /// take is never taken.
  std::int64_t max_of_request(std::int64_t n_open = 0) const noexcept {
    const std::int64_t n_left = max_open() > n_open ? max_open() - n_open : 0;
    return n_left - n_left / 8;
  }
};

}  // namespace openllm

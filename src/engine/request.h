#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/failure.h"
#include "openllm/outputs.h"
#include "sampling/sampler.h"

namespace openllm::engine {

/// Most choices of a request.
inline constexpr int kMaxChoices = 128;

/// A token as it leaves the engine.
struct TokenEvent {
  std::int32_t token = 0;
  float logprob = 0.0F;
  std::vector<TokenLogprob> top{};
  bool is_last = false;  ///< `on_end` of the choice follows at once.
};

/// Receives what a request produces. Called on the engine thread, so it must return fast and not
/// throw: put the event in a queue. After `on_end` nothing more comes for that choice.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// When the request's first step began; told once, before what that step gave.
  virtual void on_start(base::Clock::TimePoint /*when*/) noexcept {}
  /// Logprobs of prompt positions [first, first + events.size()), if asked for. Position 0 is never
  /// reported.
  virtual void on_prompt_logprobs(int first, std::vector<TokenEvent> events) noexcept = 0;
  /// Hidden states of prompt positions [first, first + n), [n, D], valid during the call; for
  /// Request::hidden.
  virtual void on_prompt_hidden(int /*first*/, int /*n*/, const float* /*rows*/) noexcept {}
  /// Raw logits of prompt positions [first, first + n), [n, vocab], valid during the call; for
  /// Request::prompt_logits.
  virtual void on_prompt_logits(int /*first*/, int /*n*/, const float* /*logits*/) noexcept {}
  /// Score of a choice that a beam search found: told once, before its tokens.
  virtual void on_score(int /*choice*/, float /*score*/) noexcept {}
  virtual void on_token(int choice, TokenEvent event) noexcept = 0;
  /// `n_cached_tokens`: prompt tokens found in the prefix cache. `failure` is set for kError. A
  /// stop token that ended the choice was delivered by on_token before and is not text.
  virtual void on_end(int choice, FinishReason reason, int n_cached_tokens,
                      const base::Failure& failure) noexcept = 0;
};

/// Positions [begin, end) of a prompt.
struct PromptRows {
  int begin = 0;
  int end = 0;
  bool empty() const noexcept { return begin >= end; }
};

/// A search for the likeliest texts instead of a draw.
struct BeamOptions {
  int n_beams = 1;                 ///< 1: no search.
  int n_groups = 1;                ///< Divides n_beams.
  float diversity_penalty = 0.0F;  ///< For each beam of the groups before that takes a token.
  float length_penalty = 1.0F;
  enum class Stopping : std::uint8_t {
    kWhenUnlikely,  ///< No running beam is likely to get better than the worst finished one.
    kWhenFull,      ///< There are n_beams / n_groups finished ones.
    kWhenSure,      ///< No running beam can get better.
  };
  Stopping stopping = Stopping::kWhenUnlikely;
};

/// A request to the engine: token ids in, tokens and logprobs out.
struct Request {
  std::string id{};  ///< Unique among the running ones.
  std::vector<std::int32_t> prompt_ids{};
  /// So many of the last prompt_ids belong to an answer that began elsewhere: penalties and
  /// constraints take them for that. The lengths below count what is still to come.
  int n_answered = 0;
  /// What an encoder reads; the decoder's text begins with `prompt_ids` then. Empty for decoders.
  std::vector<std::int32_t> source_ids{};
  sampling::SamplingParams sampling{};  ///< `choice` is set by the engine.
  /// With more than one beam the choices are the best texts of the search, best first, delivered
  /// when it is over. `sampling` penalties and constraints act on it; nothing is drawn.
  BeamOptions beams{};
  int n_choices = 1;
  int first_choice = 0;  ///< What the first choice counts as in random draws.
  int max_new_tokens = 16;
  int min_new_tokens = 0;
  /// Tokens that end the choice; empty with ignore_eos.
  std::vector<std::int32_t> stop_token_ids{};
  /// Each makes a constraint for every choice; a token must satisfy all of them.
  std::vector<sampling::ConstraintFactory> constraints{};
  /// Rules that are among `constraints`, once more for who follows them in a way of its own.
  std::vector<std::string> bad_words{};
  std::vector<std::int32_t> allowed_token_ids{};
  /// Names of fields with other values than the neutral ones, where the backend asks for them
  /// (Capabilities::is_mixed).
  std::vector<std::string> fields{};
  int n_logprobs = -1;         ///< < 0: none.
  int n_prompt_logprobs = -1;  ///< < 0: none.
  /// Deliver the logits of every prompt position. Like prompt logprobs it makes the engine compute
  /// the whole prompt, cached or not.
  bool prompt_logits = false;
  /// Deliver the hidden states of these positions, behind the last norm. The whole prompt is then
  /// computed, but what a cache has of the positions before them.
  PromptRows hidden{};
  /// The kind of each prompt token, where a model has several (step::Step::token_types); empty: all
  /// of the first.
  std::vector<std::int32_t> token_types{};
  int priority = 0;  ///< Lower runs first.
  std::int32_t adapter = 0;
  std::shared_ptr<const void> keeps{};  ///< Lives as long as the request runs or waits.
  /// Anything besides tokens and adapter that changes the numbers.
  std::uint64_t prefix_salt = 0;
  std::string tenant{};      ///< Shares the engine's time with other tenants, but no prefix.
  std::string group{};       ///< Counts as one request with others of its group; empty: alone.
  std::string cache_salt{};  ///< Shares prefixes only with equal salts.
  std::optional<base::Clock::TimePoint> deadline{};
  /// Refuse it when it would wait longer for its first step.
  std::optional<std::chrono::milliseconds> max_wait{};
  std::shared_ptr<EventSink> sink{};
};

/// Whether the request searches. One without an answer has nothing to search for.
inline bool is_search(const Request& request) noexcept {
  return request.beams.n_beams > 1 && request.max_new_tokens > 0;
}
/// Sequences that it takes.
inline int n_sequences(const Request& request) noexcept {
  return is_search(request) ? request.beams.n_beams : request.n_choices;
}

}  // namespace openllm::engine

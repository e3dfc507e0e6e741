#include "engine/validate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace openllm::engine {
namespace {

template <typename... Parts>
void require(bool holds, const base::Site& site, const Parts&... parts) {
  if (!holds) base::fail_with(ErrorCode::kInvalidArgument, site, "request: ", parts...);
}

void require_positive(const char* name, int value) {
  if (value >= 1) return;
  base::fail(ErrorCode::kInvalidArgument, "engine: ", name, ": out of range (expected >= 1, got ",
             value, ")");
}

/// Until min_new_tokens no stop token may come: another one must be there.
void require_something_to_say(const Request& r, int vocab_size) {
  if (r.min_new_tokens == 0 || r.max_new_tokens == 0) return;
  if (r.stop_token_ids.size() < static_cast<std::size_t>(vocab_size)) return;
  std::vector<bool> stops(static_cast<std::size_t>(vocab_size), false);
  for (const std::int32_t id : r.stop_token_ids) {
    if (id >= 0 && id < vocab_size) stops[static_cast<std::size_t>(id)] = true;
  }
  require(std::find(stops.begin(), stops.end(), false) != stops.end(), {"min_new_tokens"},
          "min_new_tokens: no token is left, as stop_token_ids has all of them");
}

void require_ids(const std::vector<std::int32_t>& ids, const char* what, int vocab_size) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    require(ids[i] >= 0 && ids[i] < vocab_size, {"prompt"}, what, " token ", i,
            ": no such id (expected 0 to ", vocab_size - 1, ", got ", ids[i], ")");
  }
}

void require_beams(const Request& r) {
  const BeamOptions& b = r.beams;
  require(b.n_beams >= 1 && b.n_beams <= kMaxChoices, {"num_beams"},
          "num_beams: out of range (expected 1 to ", kMaxChoices, ", got ", b.n_beams, ")");
  require(b.n_groups >= 1 && b.n_beams % b.n_groups == 0, {"num_beam_groups"},
          "num_beam_groups: does not divide num_beams (expected a divisor of ", b.n_beams, ", got ",
          b.n_groups, ")");
  require(std::isfinite(b.length_penalty) && std::isfinite(b.diversity_penalty) &&
              b.diversity_penalty >= 0.0F,
          {"length_penalty"}, "length_penalty, diversity_penalty: no numbers");
  if (!is_search(r)) return;
  require(r.n_answered == 0 && r.first_choice == 0, {"num_beams"},
          "num_beams: a search does not go on elsewhere");
  require(r.n_choices <= b.n_beams, {"n"}, "n: more answers than beams (expected at most ",
          b.n_beams, ", got ", r.n_choices, ")");
}

void require_source(const Request& r, int vocab_size, std::int64_t max_source_len) {
  const auto n_source = static_cast<std::int64_t>(r.source_ids.size());
  require(max_source_len > 0 || n_source == 0, {"prompt"},
          "a source text, but the model has no encoder");
  if (max_source_len == 0) return;
  require(n_source > 0, {"prompt"}, "empty prompt (expected at least one token)");
  require_ids(r.source_ids, "prompt", vocab_size);
  require(n_source <= max_source_len, {"prompt", ErrorReason::kContextTooLong},
          "prompt too long for the encoder (expected at most ", max_source_len, " tokens, got ",
          n_source, ")");
  require(r.n_prompt_logprobs < 0, {"prompt_logprobs"},
          "prompt_logprobs: an encoder reads the prompt, which has no probabilities then");
}

}  // namespace

const EngineOptions& validated(const EngineOptions& options) {
  require_positive("max_step_tokens", options.max_step_tokens);
  require_positive("max_sequences", options.max_sequences);
  require_positive("max_output_rows", options.max_output_rows);
  require_positive("max_queue", options.max_queue);
  require_positive("max_model_len", options.max_model_len);
  return options;
}

void validate_request(const Request& r, int vocab_size, std::int64_t max_len,
                      std::int64_t max_source_len) {
  require(r.sink != nullptr, {}, "no sink");
  require_source(r, vocab_size, max_source_len);
  require(!r.prompt_ids.empty(), {"prompt"}, "empty prompt (expected at least one token)");
  require_ids(r.prompt_ids, "prompt", vocab_size);
  require(r.n_choices >= 1 && r.n_choices <= kMaxChoices, {"n"}, "n: out of range (expected 1 to ",
          kMaxChoices, ", got ", r.n_choices, ")");
  require(r.first_choice >= 0 && r.first_choice <= kMaxChoices - r.n_choices, {},
          "first_choice: out of range (got ", r.first_choice, ")");
  require(r.n_answered >= 0 && static_cast<std::size_t>(r.n_answered) < r.prompt_ids.size(), {},
          "n_answered: more than the prompt has (got ", r.n_answered, ")");
  require(r.max_new_tokens >= 0, {"max_new_tokens"},
          "max_new_tokens: out of range (expected >= 0, got ", r.max_new_tokens, ")");
  require(r.min_new_tokens >= 0, {"min_new_tokens"},
          "min_new_tokens: out of range (expected >= 0, got ", r.min_new_tokens, ")");
  require_beams(r);
  require_something_to_say(r, vocab_size);
  sampling::validate(r.sampling, vocab_size);
  const auto n_prompt = static_cast<std::int64_t>(r.prompt_ids.size());
  const std::int64_t room = r.max_new_tokens > 0 ? max_len - 1 : max_len;
  require(n_prompt <= room, {"prompt", ErrorReason::kContextTooLong},
          "prompt too long for the context (expected at most ", room, " tokens, got ", n_prompt,
          ")");
}

void validate_hidden(const Request& r, int hidden_size, bool whole_sequences) {
  const auto n_prompt = static_cast<int>(r.prompt_ids.size());
  require(r.hidden.begin >= 0 && r.hidden.end <= n_prompt, {"hidden"},
          "hidden: out of range (expected positions 0 to ", n_prompt - 1, ", got ", r.hidden.begin,
          " to ", r.hidden.end - 1, ")");
  require(r.hidden.empty() || hidden_size > 0, {"hidden"}, "hidden: the runner gives none");
  require(r.token_types.empty() || (whole_sequences && r.token_types.size() == r.prompt_ids.size()),
          {"token_types"}, "token_types: expected none, or for whole sequences one for each of ",
          n_prompt, " tokens, got ", r.token_types.size());
  require(
      !whole_sequences || (r.max_new_tokens == 0 && !r.prompt_logits && r.n_prompt_logprobs < 0),
      {"max_new_tokens"}, "max_new_tokens: the model gives hidden states alone, no tokens");
}

}  // namespace openllm::engine

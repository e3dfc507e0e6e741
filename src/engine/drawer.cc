#include "engine/drawer.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace openllm::engine {

std::span<Drawn> Drawer::draw(std::span<Sequence* const> batch, const float* logits) {
  if (drawn_.size() < batch.size()) drawn_.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Drawn& drawn = drawn_[i];
    drawn.prompt.clear();
    drawn.error.clear();
    try {
      draw_one(*batch[i], logits, drawn);
    } catch (const std::exception& e) {
      drawn.error = e.what();
    }
  }
  return std::span(drawn_).first(batch.size());
}

void Drawer::draw_one(const Sequence& sequence, const float* logits, Drawn& drawn) {
  const RequestState& r = *sequence.request;
  const Candidate c = sequence.candidate();
  const auto n_vocab = static_cast<std::size_t>(sampler_.vocab_size());
  const auto row = [&](int output) {
    return std::span<const float>(logits + static_cast<std::size_t>(output) * n_vocab, n_vocab);
  };
  int output = sequence.first_output;
  const int report_end = std::min(c.report_end, sequence.n_rows);
  for (int i = c.report_begin; i < report_end; ++i, ++output) {
    const auto next = static_cast<std::size_t>(sequence.n_computed + i + 1);
    if (r.request.n_prompt_logprobs < 0 || next >= static_cast<std::size_t>(r.n_prompt)) continue;
    sampling::Sample s =
        sampler_.score(row(output), sequence.tokens[next], r.request.n_prompt_logprobs);
    drawn.prompt.push_back({s.token, s.logprob, std::move(s.top)});
  }
  if (!c.wants_last || sequence.n_rows != c.n_remaining) return;
  const bool last_is_reported = c.report_begin < report_end && c.report_end >= c.n_remaining;
  const int last = last_is_reported ? output - 1 : output;
  const bool too_short =
      sequence.n_generated() < r.request.min_new_tokens && !r.request.stop_token_ids.empty();
  drawn.sample = sampler_.sample(
      row(last), sequence.sampling, sequence.counts, too_short ? &r.stop_ban : nullptr,
      static_cast<std::int64_t>(sequence.tokens.size()), r.request.n_logprobs);
}

}  // namespace openllm::engine

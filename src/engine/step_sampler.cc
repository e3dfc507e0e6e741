#include "engine/step_sampler.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace openllm::engine {
namespace {

// A sampler keeps a few megabytes for a large vocabulary.
constexpr std::size_t kMaxSamplers = 16;

void sample_one(Sequence& sequence, const float* logits, sampling::Sampler& sampler,
                StepOutput& out) {
  const RequestState& r = *sequence.request;
  const Candidate c = sequence.candidate();
  const auto n_vocab = static_cast<std::size_t>(sampler.vocab_size());
  const auto row = [&](int output) {
    return std::span<const float>(logits + static_cast<std::size_t>(output) * n_vocab, n_vocab);
  };
  int output = sequence.first_output;
  const int report_end = std::min(c.report_end, sequence.n_rows);
  for (int i = c.report_begin; i < report_end; ++i, ++output) {
    const auto next = static_cast<std::size_t>(sequence.n_computed + i + 1);
    if (r.request.n_prompt_logprobs < 0 || next >= static_cast<std::size_t>(r.n_prompt)) continue;
    sampling::Sample s =
        sampler.score(row(output), sequence.tokens[next], r.request.n_prompt_logprobs);
    out.prompt.push_back({s.token, s.logprob, std::move(s.top)});
  }
  if (!c.wants_last || sequence.n_rows != c.n_remaining) return;
  const bool last_is_reported = c.report_begin < report_end && c.report_end >= c.n_remaining;
  const int last = last_is_reported ? output - 1 : output;
  if (r.search != nullptr) {
    sampler.expand(row(last), sequence.sampling, sequence.counts, sequence.constraint.get(),
                   r.search->n_expansions(), r.request.n_logprobs, out.expansions.tokens,
                   out.expansions.top);
    return;
  }
  const std::span<const std::int32_t> drafts = sequence.drafts.tokens();
  const auto& stops = r.request.stop_token_ids;
  for (std::size_t i = 0;; ++i) {
    out.samples.push_back(sampler.sample(row(last + static_cast<int>(i)), sequence.sampling,
                                         sequence.counts, sequence.constraint.get(),
                                         static_cast<std::int64_t>(sequence.tokens.size() + i),
                                         r.request.n_logprobs));
    const std::int32_t token = out.samples.back().token;
    if (sequence.constraint != nullptr) sequence.constraint->accept(token);
    if (sampling::uses_counts(sequence.sampling)) sequence.counts.add_output(token);
    const bool is_right = i < drafts.size() && drafts[i] == token;
    if (!is_right || std::find(stops.begin(), stops.end(), token) != stops.end()) return;
  }
}

}  // namespace

std::span<StepOutput> StepSampler::sample(StepRunner& runner, std::span<Sequence* const> batch,
                                          const float* logits) {
  if (outputs_.size() < batch.size()) outputs_.resize(batch.size());
  const std::size_t n_tasks = std::min(
      {batch.size(), static_cast<std::size_t>(std::max(runner.n_threads(), 1)), kMaxSamplers});
  while (samplers_.size() < n_tasks) samplers_.emplace_back(runner.vocab_size());
  std::atomic<std::size_t> next{0};
  runner.run_between_steps(n_tasks, [&](std::size_t task) {
    for (std::size_t i = next++; i < batch.size(); i = next++) {
      StepOutput& out = outputs_[i];
      out.prompt.clear();
      out.samples.clear();
      out.failure.reset();
      try {
        sample_one(*batch[i], logits, samplers_[task], out);
      } catch (const std::exception& e) {
        out.failure = base::failure_of(e);
      }
    }
  });
  return std::span(outputs_).first(batch.size());
}

}  // namespace openllm::engine

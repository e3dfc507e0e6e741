#include "engine/sequence.h"

#include <algorithm>
#include <tuple>

namespace openllm::engine {
void StopBan::apply(std::span<std::uint64_t> mask) const {
  for (const std::int32_t token : tokens_) {
    const auto t = static_cast<std::size_t>(token);
    if (token >= 0 && t / 64 < mask.size()) mask[t / 64] &= ~(std::uint64_t{1} << (t % 64));
  }
}

RequestState::RequestState(Request what)
    : request(std::move(what)), stop_ban(request.stop_token_ids) {
  n_prompt = static_cast<int>(request.prompt_ids.size());
  max_new = request.max_new_tokens;
  n_open = request.n_choices;
  for (int i = 0; i < request.n_choices; ++i) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = this;
    sequence->sampling = request.sampling;
    sequence->sampling.choice = i;
    sequence->tokens = request.prompt_ids;
    if (i == 0 && reports_prompt())
      sequence->report_end = request.prompt_logits ? n_prompt : n_prompt - 1;
    if (sampling::uses_counts(request.sampling)) sequence->counts.add_prompt(request.prompt_ids);
    choices.push_back(std::move(sequence));
  }
}

int Sequence::n_generated() const noexcept {
  return static_cast<int>(tokens.size()) - request->n_prompt;
}

int Sequence::n_target() const noexcept {
  return request->max_new == 0 ? report_end : static_cast<int>(tokens.size());
}

Candidate Sequence::candidate() const noexcept {
  Candidate c;
  c.n_remaining = n_target() - n_computed;
  c.report_begin = std::max(0, n_reported - n_computed);
  c.report_end = std::max(c.report_begin, report_end - n_computed);
  c.wants_last = request->max_new > 0;
  return c;
}

void Sequence::extend_keys(int n_blocks, int block_size) {
  const auto size = static_cast<std::size_t>(block_size);
  while (keys.size() < static_cast<std::size_t>(n_blocks)) {
    const kv::BlockKey& previous = keys.empty() ? request->root : keys.back();
    keys.push_back(kv::next_key(previous, std::span(tokens).subspan(keys.size() * size, size)));
  }
}

bool ranks_before(const Sequence* a, const Sequence* b) noexcept {
  const auto key = [](const Sequence* s) {
    return std::tuple(-std::int64_t{s->request->request.priority}, s->request->arrival,
                      s->sampling.choice);
  };
  return key(a) < key(b);
}

}  // namespace openllm::engine

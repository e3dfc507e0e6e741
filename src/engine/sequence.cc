#include "engine/sequence.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"

namespace openllm::engine {
namespace {

constexpr int kMaxChoices = 128;

template <typename... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) base::fail(ErrorCode::kInvalidArgument, "request: ", parts...);
}

}  // namespace

void StopBan::apply(std::span<std::uint64_t> mask) const {
  for (const std::int32_t token : tokens_) {
    const auto t = static_cast<std::size_t>(token);
    if (token >= 0 && t / 64 < mask.size()) mask[t / 64] &= ~(std::uint64_t{1} << (t % 64));
  }
}

RequestState::RequestState(Request what, std::int64_t arrival_number)
    : request(std::move(what)), arrival(arrival_number), stop_ban(request.stop_token_ids) {
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

bool ranks_before(const Sequence* a, const Sequence* b) noexcept {
  const auto key = [](const Sequence* s) {
    return std::tuple(-std::int64_t{s->request->request.priority}, s->request->arrival,
                      s->sampling.choice);
  };
  return key(a) < key(b);
}

void validate_request(const Request& r, int vocab_size, std::int64_t max_len) {
  require(r.sink != nullptr, "no sink");
  require(!r.prompt_ids.empty(), "empty prompt (expected at least one token)");
  for (std::size_t i = 0; i < r.prompt_ids.size(); ++i) {
    const std::int32_t id = r.prompt_ids[i];
    require(id >= 0 && id < vocab_size, "prompt token ", i, ": no such id (expected 0 to ",
            vocab_size - 1, ", got ", id, ")");
  }
  require(r.n_choices >= 1 && r.n_choices <= kMaxChoices, "n out of range (expected 1 to ",
          kMaxChoices, ", got ", r.n_choices, ")");
  require(r.max_new_tokens >= 0, "max_new_tokens: must not be negative, got ", r.max_new_tokens);
  require(r.min_new_tokens >= 0, "min_new_tokens: must not be negative, got ", r.min_new_tokens);
  sampling::validate(r.sampling, vocab_size);
  const auto n_prompt = static_cast<std::int64_t>(r.prompt_ids.size());
  const std::int64_t room = r.max_new_tokens > 0 ? max_len - 1 : max_len;
  require(n_prompt <= room, "prompt too long for the context (expected at most ", room,
          " tokens, got ", n_prompt, ")");
}

}  // namespace openllm::engine

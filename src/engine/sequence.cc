#include "engine/sequence.h"

#include <algorithm>
#include <span>
#include <tuple>

#include "base/error.h"
#include "sampling/constraint_set.h"
#include "sampling/constraints/min_new_tokens.h"

namespace openllm::engine {
namespace {

/// Null when nothing constrains the choice.
std::unique_ptr<sampling::Constraint> make_constraint(const Request& request, int choice,
                                                      int max_new) {
  std::vector<std::unique_ptr<sampling::Constraint>> parts;
  const std::span prompt(request.prompt_ids);
  const auto n_answered = static_cast<std::size_t>(request.n_answered);
  if (request.min_new_tokens > 0 && !request.stop_token_ids.empty()) {
    parts.push_back(std::make_unique<sampling::MinNewTokens>(request.min_new_tokens));
  }
  const sampling::ConstraintContext context{prompt.first(prompt.size() - n_answered),
                                            request.stop_token_ids, choice,
                                            max_new + request.n_answered};
  for (const sampling::ConstraintFactory& make : request.constraints) {
    parts.push_back(make(context));
    base::check(parts.back() != nullptr, "engine: a factory made no constraint");
    for (const std::int32_t token : prompt.last(n_answered)) parts.back()->accept(token);
  }
  if (parts.empty()) return nullptr;
  return std::make_unique<sampling::ConstraintSet>(std::move(parts), request.stop_token_ids);
}

void count_tokens(const Request& request, sampling::TokenCounts& counts) {
  const std::span prompt(request.prompt_ids);
  const auto n_answered = static_cast<std::size_t>(request.n_answered);
  counts.add_prompt(prompt.first(prompt.size() - n_answered));
  for (const std::int32_t token : prompt.last(n_answered)) counts.add_output(token);
}

}  // namespace

RequestState::RequestState(Request what, std::int64_t max_len) : request(std::move(what)) {
  n_prompt = static_cast<int>(request.prompt_ids.size());
  max_new = static_cast<int>(std::min<std::int64_t>(request.max_new_tokens, max_len - n_prompt));
  n_open = n_sequences(request);
  for (int i = 0; i < n_open; ++i) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = this;
    sequence->sampling = request.sampling;
    sequence->choice = i;
    sequence->sampling.choice = request.first_choice + i;
    sequence->tokens = request.prompt_ids;
    sequence->constraint = make_constraint(request, sequence->sampling.choice, max_new);
    if (i == 0 && reports_prompt())
      sequence->report_end = request.prompt_logits ? n_prompt : n_prompt - 1;
    if (i == 0) sequence->hidden_next = request.hidden.begin;
    if (sampling::uses_counts(request.sampling)) count_tokens(request, sequence->counts);
    choices.push_back(std::move(sequence));
  }
  if (!is_search(request)) return;
  search = std::make_unique<BeamSearch>(request.beams, request.stop_token_ids, max_new);
  ended_choices.resize(static_cast<std::size_t>(request.n_choices), false);
  beams = {choices.front().get()};
  beams.front()->is_beam = true;
}

int Sequence::n_generated() const noexcept {
  return static_cast<int>(tokens.size()) - request->n_prompt;
}

int Sequence::n_source_rows() const noexcept {
  return has_encoded ? 0 : static_cast<int>(request->request.source_ids.size());
}

int Sequence::n_target() const noexcept {
  if (request->max_new > 0) return static_cast<int>(tokens.size());
  return request->request.hidden.empty() ? report_end : request->n_prompt;
}

Candidate Sequence::candidate() const noexcept {
  Candidate c;
  c.n_remaining = n_target() - n_computed;
  c.report_begin = std::max(0, n_reported - n_computed);
  c.report_end = std::max(c.report_begin, report_end - n_computed);
  c.wants_last = request->max_new > 0;
  c.n_past = n_computed;
  c.n_source = n_source_rows();
  c.priority = request->request.priority;
  c.is_whole = request->is_whole;
  return c;
}

PromptRows Sequence::hidden_rows() const noexcept {
  if (sampling.choice > 0) return {};  // the first one delivers them
  return {std::max(n_computed, hidden_next),
          std::min(n_computed + n_rows, request->request.hidden.end)};
}

void Sequence::extend_keys(int n_blocks, int block_size) {
  const auto size = static_cast<std::size_t>(block_size);
  while (keys.size() < static_cast<std::size_t>(n_blocks)) {
    const kv::BlockKey& previous = keys.empty() ? request->root : keys.back();
    keys.push_back(kv::next_key(previous, std::span(tokens).subspan(keys.size() * size, size)));
  }
}

kv::BlockKey prefix_root(const RequestState& r, bool rope_depends_on_length) {
  const std::string& tenant = r.request.tenant;
  const std::string& salt = r.request.cache_salt;
  const auto length = rope_depends_on_length ? r.n_prompt + r.max_new : 0;
  // With both lengths, so that no two pairs of texts read alike.
  std::vector<std::uint64_t> words = {
      r.request.prefix_salt, static_cast<std::uint64_t>(r.request.adapter),
      static_cast<std::uint64_t>(length), tenant.size(), salt.size()};
  for (const std::string* text : {&tenant, &salt}) {
    for (const char c : *text) words.push_back(static_cast<unsigned char>(c));
  }
  return kv::root_key(words);
}

bool ranks_before(const Sequence* a, const Sequence* b) noexcept {
  const auto key = [](const Sequence* s) {
    return std::tuple(s->request->request.priority, s->request->arrival, s->choice);
  };
  return key(a) < key(b);
}

}  // namespace openllm::engine

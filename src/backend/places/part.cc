#include "backend/places/part.h"

#include <algorithm>
#include <map>
#include <utility>

#include "backend/continuation.h"
#include "backend/places/leg.h"
#include "base/error.h"
#include "sampling/sampler.h"

namespace openllm::backend::places {
namespace {

std::map<std::size_t, base::Failure> failures_of(Job& job, const Part& part) {
  const base::MutexLock lock(job.mutex);
  return job.choices[static_cast<std::size_t>(part.choices.front())].failures;
}

/// Of several failures: the code and the time of the whole. Who is only busy says least.
base::Failure summary(const std::map<std::size_t, base::Failure>& failures) {
  const base::Failure* chosen = &failures.begin()->second;
  for (const auto& [place, failure] : failures) {
    const bool is_busy = failure.code == ErrorCode::kBusy;
    const bool was_busy = chosen->code == ErrorCode::kBusy;
    if (was_busy && (!is_busy || failure.retry_after < chosen->retry_after)) chosen = &failure;
  }
  base::Failure whole = *chosen;
  if (failures.size() > 1 && whole.code != ErrorCode::kBusy) {
    whole.where.clear();
    whole.reason = ErrorReason::kNone;
  }
  return whole;
}

std::string listed(std::span<const std::string> names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

Part part_of(Job& job, const std::vector<int>& choices) {
  const engine::Request& request = job.request;
  const bool is_search = engine::is_search(request);
  const bool is_random = !is_search && !sampling::is_greedy(request.sampling);
  Part part{.choices = choices};
  part.needs.fields = request.fields;
  part.needs.adapters = job.adapters.get();
  bool drew_as_engine = true;
  {
    const base::MutexLock lock(job.mutex);
    for (const int c : choices) {
      const ChoiceState& choice = job.choices[static_cast<std::size_t>(c)];
      for (const auto& [place, failure] : choice.failures) part.tried.insert(place);
      drew_as_engine = choice.draws_as_engine;
      part.answered = choice.ids;
      part.can_be_made = part.can_be_made && !choice.is_cut;
    }
  }
  // A search gives all of its texts at once, or none.
  const bool is_whole =
      static_cast<int>(choices.size()) == request.n_choices && part.answered.empty();
  part.can_be_made = part.can_be_made && (!is_search || is_whole);
  if (part.answered.empty()) {
    part.needs.prompt_logits = request.prompt_logits;
  } else {
    part.exact_field = field_of_answer(request);
    part.needs.continues_answers = !part.exact_field.empty();
    part.needs.draws_as_engine = is_random;
    part.can_be_made = part.can_be_made && (!is_random || drew_as_engine);
    if (is_random && part.exact_field.empty()) part.exact_field = "seed";
  }
  if (is_random && choices.front() > 0) {  // a place draws as for its first choice, unless told
    part.needs.continues_answers = true;
    if (field_of_answer(request).empty()) part.exact_field = "n";
  }
  return part;
}

engine::Request request_of(Job& job, const Part& part, const Roster::Pick& pick,
                           const std::shared_ptr<Leg>& leg) {
  engine::Request request = job.request;
  request.id = leg->id();
  request.sink = leg;
  request.fields.clear();
  request.n_choices = static_cast<int>(part.choices.size());
  if (pick.continues_answers) request.first_choice = part.choices.front();
  if (job.adapters != nullptr) {
    const AdapterUse& use = job.adapters->by_place.at(pick.place);
    request.adapter = use.number;
    request.keeps = use.keeps;
  }
  {
    const base::MutexLock lock(job.mutex);
    if (job.has_started) request.max_wait.reset();
  }
  if (part.answered.empty()) return request;
  const LeftTokens left = left_after(request, part.answered.size());
  request.max_new_tokens = left.max;
  request.min_new_tokens = left.min;
  request.prompt_ids.insert(request.prompt_ids.end(), part.answered.begin(), part.answered.end());
  if (pick.continues_answers) request.n_answered = static_cast<int>(part.answered.size());
  request.n_prompt_logprobs = -1;  // all were told before the first token
  request.prompt_logits = false;
  return request;
}

std::string next_leg_id(Job& job) {
  const base::MutexLock lock(job.mutex);
  return base::cat(job.request.id, "/", job.n_legs++);
}

base::Failure no_place_left(Job& job, const Part& part, const Roster& roster) {
  const std::map<std::size_t, base::Failure> failures = failures_of(job, part);
  if (failures.empty()) {
    std::string wanted = listed(part.needs.fields);
    if (job.adapters != nullptr)
      wanted += base::cat(wanted.empty() ? "" : ", ", "the adapter ", job.adapters->name);
    return {ErrorCode::kUnavailable,
            base::cat("places: none that is there can do that",
                      wanted.empty() ? "" : base::cat(" (expected one for ", wanted, ")"))};
  }
  base::Failure whole = summary(failures);
  whole.message = "places";
  for (const auto& [place, failure] : failures) {
    whole.message += base::cat(place == failures.begin()->first ? ": " : "; ",
                               roster.source(place).name, ": ", failure.message);
  }
  const bool others_are_there = roster.loaded().size() > failures.size();
  if (others_are_there && !part.exact_field.empty()) {
    whole.message += base::cat("; no other place can go on with the answer exactly as it began (",
                               part.exact_field, ")");
  }
  return whole;
}

}  // namespace openllm::backend::places

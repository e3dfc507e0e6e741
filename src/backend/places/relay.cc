#include "backend/places/relay.h"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "backend/continuation.h"
#include "backend/places/part.h"
#include "base/error.h"

namespace openllm::backend::places {
namespace {

/// It was there, and is no more: whoever began anew is to get it again.
bool lacks_adapter(const Job& job, const base::Failure& failure) {
  return job.adapters != nullptr && failure.code == ErrorCode::kNotFound;
}

/// Nobody is there, or one who knows nothing of before, as opposed to one who is busy or has
/// failed.
bool is_gone(const PlaceSource& place, const Job& job, const base::Failure& failure) {
  return !place.url.empty() && (failure.code == ErrorCode::kUnavailable ||
                                failure.code == ErrorCode::kIo || lacks_adapter(job, failure));
}

void attach(Job& job, const std::shared_ptr<Leg>& leg, const Roster::Pick& pick) {
  const base::MutexLock lock(job.mutex);
  int index = 0;
  for (const int c : leg->choices()) {
    ChoiceState& choice = job.choices[static_cast<std::size_t>(c)];
    choice.leg = leg;
    choice.index_in_leg = index++;
    choice.draws_as_engine = pick.draws_as_engine && (choice.ids.empty() || choice.draws_as_engine);
  }
}

void note_failure(Job& job, const std::vector<int>& choices, std::size_t place,
                  const base::Failure& failure) {
  const base::MutexLock lock(job.mutex);
  for (const int c : choices) {
    ChoiceState& choice = job.choices[static_cast<std::size_t>(c)];
    choice.leg.reset();
    choice.failures[place] = failure;
  }
}

/// What was asked for while the place was being asked.
void tell_what_came_meanwhile(Job& job, const Leg& leg) {
  bool is_cancelled = false;
  std::vector<int> stopped;
  {
    const base::MutexLock lock(job.mutex);
    is_cancelled = job.is_cancelled;
    for (std::size_t i = 0; i < leg.choices().size(); ++i) {
      if (job.choices[static_cast<std::size_t>(leg.choices()[i])].is_stopped)
        stopped.push_back(static_cast<int>(i));
    }
  }
  if (is_cancelled) leg.backend().cancel(leg.id());
  for (const int index : stopped) leg.backend().stop_choice(leg.id(), index);
}

/// Runs of choices that follow each other.
std::vector<std::vector<int>> runs_of(std::vector<int> choices) {
  std::sort(choices.begin(), choices.end());
  std::vector<std::vector<int>> runs;
  for (const int choice : choices) {
    if (runs.empty() || runs.back().back() + 1 != choice) runs.emplace_back();
    runs.back().push_back(choice);
  }
  return runs;
}

}  // namespace

Relay::Relay(Roster& roster, const base::Clock& clock, Post post)
    : roster_(roster), clock_(clock), post_(std::move(post)) {}

std::optional<base::Failure> Relay::closing() const {
  const base::MutexLock lock(mutex_);
  return closing_;
}

Relay::JobPtr Relay::find(const std::string& id) const {
  const base::MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second;
}

void Relay::forget(const std::string& id) {
  JobPtr job;  // ends after the lock
  const base::MutexLock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  job = std::move(found->second);
  jobs_.erase(found);
}

void Relay::submit(engine::Request request, std::shared_ptr<const AdapterUses> adapters) {
  auto job = std::make_shared<Job>(std::move(request), std::move(adapters));
  const std::string id = job->request.id;
  {
    const base::MutexLock lock(mutex_);
    if (closing_) base::fail(ErrorCode::kUnavailable, "places: are shutting down");
    jobs_[id] = job;
  }
  std::vector<int> choices;
  for (int i = 0; i < job->request.n_choices; ++i) choices.push_back(i);
  try {
    start_leg(job, choices);
  } catch (...) {
    forget(id);
    throw;
  }
  ++n_requests_;
  n_prompt_tokens_ += static_cast<std::int64_t>(job->request.prompt_ids.size());
}

void Relay::start_leg(const JobPtr& job, const std::vector<int>& choices) {
  Part part = part_of(*job, choices);
  const auto n_choices = static_cast<int>(choices.size());
  const engine::Request& request = job->request;
  const auto& prompt = request.source_ids.empty() ? request.prompt_ids : request.source_ids;
  while (part.can_be_made) {
    const auto pick = roster_.pick(part.needs, prompt, n_choices, part.tried);
    if (!pick) break;
    const auto leg =
        std::make_shared<Leg>(job, *this, roster_, clock_, *pick, next_leg_id(*job), choices);
    attach(*job, leg, *pick);
    try {
      pick->backend->submit(request_of(*job, part, *pick, leg));
      return tell_what_came_meanwhile(*job, *leg);
    } catch (const std::exception& error) {
      const base::Failure failure = base::failure_of(error);
      roster_.leave(pick->place, n_choices);
      note_failure(*job, choices, pick->place, failure);
      if (!mends(*job, failure)) throw;
      roster_.count_failure(pick->place, is_gone(roster_.source(pick->place), *job, failure),
                            failure.message);
      part.tried.insert(pick->place);
    }
  }
  throw base::to_error(no_place_left(*job, part, roster_));
}

bool Relay::mends(const Job& job, const base::Failure& failure) const noexcept {
  return !is_closing_.load() && (may_work_elsewhere(failure) || lacks_adapter(job, failure));
}

void Relay::end_choice(Job& job, int choice, FinishReason reason, int n_cached_tokens,
                       const base::Failure& failure) noexcept {
  bool is_last = false;
  {
    const base::MutexLock lock(job.mutex);
    ChoiceState& state = job.choices[static_cast<std::size_t>(choice)];
    state.leg.reset();
    if (std::exchange(state.has_ended, true)) return;
    is_last = std::all_of(job.choices.begin(), job.choices.end(),
                          [](const ChoiceState& other) { return other.has_ended; });
  }
  if (is_last) {  // known before anyone is told
    ++n_finished_;
    forget(job.request.id);
  }
  job.request.sink->on_end(choice, reason, n_cached_tokens, failure);
}

void Relay::leg_failed(const JobPtr& job, const Leg& leg, std::vector<int> choices) noexcept {
  try {
    const base::Failure& failure = leg.failure();
    roster_.count_failure(leg.place(), is_gone(roster_.source(leg.place()), *job, failure),
                          failure.message);
    note_failure(*job, choices, leg.place(), failure);
    post_([this, job, choices] { mend(job, choices); });
  } catch (const std::exception& error) {  // a lack of memory
    for (const int choice : choices)
      end_choice(*job, choice, FinishReason::kError, 0, base::failure_of(error));
  }
}

std::optional<FinishReason> Relay::end_between(Job& job, int choice) const {
  const base::MutexLock lock(job.mutex);
  const ChoiceState& state = job.choices[static_cast<std::size_t>(choice)];
  if (job.is_cancelled) return FinishReason::kCancelled;
  if (state.is_stopped) return FinishReason::kStop;
  if (!state.ids.empty()) {
    if (const auto end = end_of(job.request, state.ids)) return end;
  }
  const auto& deadline = job.request.deadline;
  if (deadline && *deadline <= clock_.now()) return FinishReason::kDeadline;
  return std::nullopt;
}

/// Choices that have nothing yet begin again together, so that they share the prompt; others go on
/// one by one.
void Relay::mend(const JobPtr& job, const std::vector<int>& choices) {
  std::vector<int> fresh;
  std::vector<int> begun;
  for (const int choice : choices) {
    if (const auto reason = end_between(*job, choice)) {
      end_choice(*job, choice, *reason, 0, {});
      continue;
    }
    const base::MutexLock lock(job->mutex);
    const bool is_fresh = job->choices[static_cast<std::size_t>(choice)].ids.empty();
    (is_fresh ? fresh : begun).push_back(choice);
  }
  for (const std::vector<int>& run : runs_of(std::move(fresh))) start_or_end(job, run);
  for (const int choice : begun) start_or_end(job, {choice});
}

void Relay::start_or_end(const JobPtr& job, const std::vector<int>& choices) {
  base::Failure failure;
  try {
    if (const auto end = closing()) {
      failure = *end;
    } else {
      return start_leg(job, choices);
    }
  } catch (const std::exception& error) {
    failure = base::failure_of(error);
  }
  if (const auto end = closing()) failure = *end;  // what the places say then is no reason
  for (const int choice : choices) end_choice(*job, choice, FinishReason::kError, 0, failure);
}

void Relay::cancel(const std::string& id) {
  const JobPtr job = find(id);
  if (job == nullptr) return;
  std::set<std::shared_ptr<Leg>> legs;
  {
    const base::MutexLock lock(job->mutex);
    job->is_cancelled = true;
    for (const ChoiceState& choice : job->choices) {
      if (choice.leg != nullptr) legs.insert(choice.leg);
    }
  }
  for (const auto& leg : legs) leg->backend().cancel(leg->id());
}

void Relay::stop_choice(const std::string& id, int choice) {
  const JobPtr job = find(id);
  if (job == nullptr || choice < 0 || choice >= job->request.n_choices) return;
  std::shared_ptr<Leg> leg;
  int index = 0;
  {
    const base::MutexLock lock(job->mutex);
    ChoiceState& state = job->choices[static_cast<std::size_t>(choice)];
    state.is_stopped = true;
    leg = state.leg;
    index = state.index_in_leg;
  }
  if (leg != nullptr) leg->backend().stop_choice(leg->id(), index);
}

void Relay::give_up(std::size_t place) {
  std::map<std::string, JobPtr> jobs;
  {
    const base::MutexLock lock(mutex_);
    jobs = jobs_;
  }
  std::set<std::shared_ptr<Leg>> legs;
  for (const auto& [id, job] : jobs) {
    const base::MutexLock lock(job->mutex);
    for (const ChoiceState& choice : job->choices) {
      if (choice.leg != nullptr && choice.leg->place() == place) legs.insert(choice.leg);
    }
  }
  for (const auto& leg : legs) {
    leg->lose();
    leg->backend().cancel(leg->id());
  }
}

void Relay::close(const base::Failure& failure) {
  const base::MutexLock lock(mutex_);
  if (!closing_) closing_ = failure;
  is_closing_.store(true);
}

void Relay::end_all() {
  std::map<std::string, JobPtr> jobs;
  base::Failure failure;
  {
    const base::MutexLock lock(mutex_);
    jobs = jobs_;
    failure = closing_.value_or(base::Failure{});
  }
  for (const auto& [id, job] : jobs) {
    for (int i = 0; i < job->request.n_choices; ++i)
      end_choice(*job, i, FinishReason::kError, 0, failure);
  }
}

EngineStats Relay::counts() const {
  EngineStats stats;
  stats.n_requests = n_requests_;
  stats.n_finished = n_finished_;
  stats.n_prompt_tokens = n_prompt_tokens_;
  return stats;
}

}  // namespace openllm::backend::places

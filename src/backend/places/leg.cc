#include "backend/places/leg.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"

namespace openllm::backend::places {

Leg::Leg(std::shared_ptr<Job> job, LegOwner& owner, Roster& roster, const base::Clock& clock,
         Roster::Pick pick, std::string id, std::vector<int> choices)
    : job_(std::move(job)),
      owner_(owner),
      roster_(roster),
      clock_(clock),
      pick_(pick),
      id_(std::move(id)),
      choices_(std::move(choices)),
      begun_(clock.now()),
      n_tokens_(choices_.size(), 0),
      failed_(choices_.size(), 0) {}

void Leg::on_start(base::Clock::TimePoint when) noexcept {
  {
    const base::MutexLock lock(job_->mutex);
    if (std::exchange(job_->has_started, true)) return;
  }
  job_->request.sink->on_start(when);
}

/// A place that begins anew tells all of it again.
void Leg::on_prompt_logprobs(int first, std::vector<engine::TokenEvent> events) noexcept {
  int n_told = 0;
  {
    const base::MutexLock lock(job_->mutex);
    n_told = std::clamp(job_->next_prompt_position - first, 0, static_cast<int>(events.size()));
    job_->next_prompt_position =
        std::max(job_->next_prompt_position, first + static_cast<int>(events.size()));
  }
  events.erase(events.begin(), events.begin() + n_told);
  if (!events.empty()) job_->request.sink->on_prompt_logprobs(first + n_told, std::move(events));
}

void Leg::on_prompt_logits(int first, int n, const float* logits) noexcept {
  int n_told = 0;
  {
    const base::MutexLock lock(job_->mutex);
    n_told = std::clamp(job_->n_logit_rows - first, 0, n);
    job_->n_logit_rows = std::max(job_->n_logit_rows, first + n);
  }
  if (n_told == n) return;
  const auto offset = static_cast<std::ptrdiff_t>(n_told) * backend().vocab_size();
  job_->request.sink->on_prompt_logits(first + n_told, n - n_told, logits + offset);
}

void Leg::on_token(int index, engine::TokenEvent event) noexcept {
  const auto i = static_cast<std::size_t>(index);
  {
    const base::MutexLock lock(job_->mutex);
    ChoiceState& choice = job_->choices[static_cast<std::size_t>(choices_[i])];
    choice.failures.clear();
    try {
      choice.ids.push_back(event.token);
    } catch (const std::exception&) {
      choice.is_cut = true;
    }
  }
  ++n_tokens_[i];
  job_->request.sink->on_token(choices_[i], std::move(event));
}

bool Leg::fails(FinishReason reason, const base::Failure& failure) noexcept {
  const bool is_lost = is_lost_.load() && reason == FinishReason::kCancelled;
  if (reason != FinishReason::kError && !is_lost) return false;
  {
    const base::MutexLock lock(job_->mutex);
    if (is_lost && job_->is_cancelled) return false;
  }
  try {
    failure_ = is_lost ? base::Failure{ErrorCode::kUnavailable, "no longer answers"} : failure;
  } catch (const std::exception&) {
    return false;
  }
  return owner_.mends(*job_, failure_);
}

void Leg::count_end(std::size_t index, FinishReason reason) noexcept {
  roster_.leave(place(), 1);
  roster_.count_tokens(place(), n_tokens_[index]);
  const bool is_whole = reason == FinishReason::kStop || reason == FinishReason::kLength;
  if (is_whole) roster_.measure(place(), n_tokens_[index], clock_.now() - begun_);
}

void Leg::on_end(int index, FinishReason reason, int n_cached_tokens,
                 const base::Failure& failure) noexcept {
  const std::shared_ptr<Leg> self = weak_from_this().lock();  // its choice forgets it
  const auto i = static_cast<std::size_t>(index);
  count_end(i, reason);
  if (fails(reason, failure)) {
    failed_[n_failed_++] = choices_[i];
    const base::MutexLock lock(job_->mutex);
    job_->choices[static_cast<std::size_t>(choices_[i])].leg.reset();
  } else {
    const auto n_prompt = static_cast<int>(job_->request.prompt_ids.size());
    owner_.end_choice(*job_, choices_[i], reason, std::min(n_cached_tokens, n_prompt), failure);
  }
  if (++n_ended_ < choices_.size() || n_failed_ == 0) return;
  failed_.erase(failed_.begin() + static_cast<std::ptrdiff_t>(n_failed_), failed_.end());
  owner_.leg_failed(job_, *this, std::move(failed_));
}

}  // namespace openllm::backend::places

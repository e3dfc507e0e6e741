#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/places/job.h"
#include "backend/places/leg.h"
#include "backend/places/roster.h"
#include "base/mutex.h"

namespace openllm::backend::places {

/// Hands requests to places, and what a place failed to the next one, with the tokens so far.
/// Thread safety: every method from any thread.
class Relay final : public LegOwner {
 public:
  /// `post` runs tasks one after the other, on a thread of its own.
  using Post = std::function<void(std::function<void()>)>;
  Relay(Roster& roster, const base::Clock& clock, Post post);

  /// Throws what is wrong with the request, or why no place takes it.
  void submit(engine::Request request, std::shared_ptr<const AdapterUses> adapters = nullptr);
  void cancel(const std::string& id);
  void stop_choice(const std::string& id, int choice);
  /// Nobody answers there any more: what it has goes on elsewhere.
  void give_up(std::size_t place);

  /// From now on failures are told, and requests refused.
  void close(const base::Failure& failure);
  /// Ends what is left, when neither places nor posted tasks run any more.
  void end_all();

  /// Counts of whole requests; `n_running`: choices.
  EngineStats counts() const;

 private:
  using JobPtr = std::shared_ptr<Job>;

  bool mends(const Job& job, const base::Failure& failure) const noexcept override;
  void end_choice(Job& job, int choice, FinishReason reason, int n_cached_tokens,
                  const base::Failure& failure) noexcept override;
  void leg_failed(const JobPtr& job, const Leg& leg, std::vector<int> choices) noexcept override;

  /// Choices that follow each other and begin anew, or one that goes on with what it has. Tries
  /// place after place; throws the error when none is left.
  void start_leg(const JobPtr& job, const std::vector<int>& choices);
  void mend(const JobPtr& job, const std::vector<int>& choices);
  /// The end of a choice between two legs that needs no other one.
  std::optional<FinishReason> end_between(Job& job, int choice) const;
  void start_or_end(const JobPtr& job, const std::vector<int>& choices);
  JobPtr find(const std::string& id) const;
  void forget(const std::string& id);
  std::optional<base::Failure> closing() const;

  Roster& roster_;
  const base::Clock& clock_;
  const Post post_;
  mutable base::Mutex mutex_;
  std::map<std::string, JobPtr> jobs_ GUARDED_BY(mutex_);
  std::optional<base::Failure> closing_ GUARDED_BY(mutex_);
  std::atomic<bool> is_closing_{false};
  std::atomic<std::int64_t> n_requests_{0};
  std::atomic<std::int64_t> n_finished_{0};
  std::atomic<std::int64_t> n_prompt_tokens_{0};
};

}  // namespace openllm::backend::places

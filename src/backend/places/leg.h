#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "backend/places/job.h"
#include "backend/places/roster.h"
#include "base/clock.h"
#include "engine/request.h"

namespace openllm::backend::places {

class Leg;

/// What a leg tells of its end.
class LegOwner {
 public:
  virtual ~LegOwner() = default;
  /// Whether what a place failed is to be made elsewhere.
  virtual bool mends(const Job& job, const base::Failure& failure) const noexcept = 0;
  virtual void end_choice(Job& job, int choice, FinishReason reason, int n_cached_tokens,
                          const base::Failure& failure) noexcept = 0;
  /// The leg is over without these choices, which have no leg now.
  virtual void leg_failed(const std::shared_ptr<Job>& job, const Leg& leg,
                          std::vector<int> choices) noexcept = 0;
};

/// Choices of a request at a place: the sink of what the place makes of them. Its methods are
/// called by one thread at a time, the place's.
class Leg final : public engine::EventSink, public std::enable_shared_from_this<Leg> {
 public:
  /// `choices`: those of the request that are its first, second, ... one.
  Leg(std::shared_ptr<Job> job, LegOwner& owner, Roster& roster, const base::Clock& clock,
      Roster::Pick pick, std::string id, std::vector<int> choices);

  const std::string& id() const noexcept { return id_; }
  std::size_t place() const noexcept { return pick_.place; }
  Backend& backend() const noexcept { return *pick_.backend; }
  const std::vector<int>& choices() const noexcept { return choices_; }
  /// Why the place failed.
  const base::Failure& failure() const noexcept { return failure_; }
  /// Nobody answers at the place. Its end, which comes when it is cancelled, is a failure then.
  void lose() noexcept { is_lost_.store(true); }

  void on_start(base::Clock::TimePoint when) noexcept override;
  void on_prompt_logprobs(int first, std::vector<engine::TokenEvent> events) noexcept override;
  void on_prompt_logits(int first, int n, const float* logits) noexcept override;
  void on_token(int index, engine::TokenEvent event) noexcept override;
  void on_end(int index, FinishReason reason, int n_cached_tokens,
              const base::Failure& failure) noexcept override;

 private:
  bool fails(FinishReason reason, const base::Failure& failure) noexcept;
  void count_end(std::size_t index, FinishReason reason) noexcept;

  const std::shared_ptr<Job> job_;
  LegOwner& owner_;
  Roster& roster_;
  const base::Clock& clock_;
  const Roster::Pick pick_;
  const std::string id_;
  const std::vector<int> choices_;
  const base::Clock::TimePoint begun_;
  std::atomic<bool> is_lost_{false};
  std::vector<std::int64_t> n_tokens_;  // by choice
  std::vector<int> failed_;             ///< The first n_failed_ of them count.
  std::size_t n_failed_ = 0;
  base::Failure failure_;
  std::size_t n_ended_ = 0;
};

}  // namespace openllm::backend::places

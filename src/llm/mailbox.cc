#include "llm/mailbox.h"

#include <utility>

#include "base/error.h"

namespace openllm::llm {

Mailbox::Mailbox(int n_choices, bool only_final, Executor executor)
    : n_choices_(static_cast<std::size_t>(n_choices)),
      only_final_(only_final),
      executor_(std::move(executor)) {
  reset_pending();
}

void Mailbox::reset_pending() {
  pending_ = Update{};
  pending_.choices.resize(n_choices_);
  has_update_ = false;
}

void Mailbox::post_quietly(base::FunctionRef<void(Update&)> change) {
  const base::MutexLock lock(mutex_);
  change(pending_);
}

void Mailbox::post(base::FunctionRef<void(Update&)> change) {
  post_if([&](Update& update) {
    change(update);
    return true;
  });
}

void Mailbox::post_if(base::FunctionRef<bool(Update&)> change) {
  bool resume = false;
  {
    const base::MutexLock lock(mutex_);
    if (!change(pending_)) return;
    has_update_ = true;
    if (!is_ready(waits_for_)) return;
    resume = static_cast<bool>(waiter_);
  }
  wake_.notify_one();
  if (resume) resume_later();
}

void Mailbox::post_accepted() {
  {
    const base::MutexLock lock(mutex_);
    accepted_ = true;
    if (!waiter_ || waits_for_ != Until::kAccepted) return;
  }
  resume_later();
}

void Mailbox::resume_later() {
  // The coroutine stays registered until the executor gets to it, so that `abandon` can still
  // prevent the resumption. A task that is never run must not keep the mailbox: the mailbox keeps
  // the executor, which may be what keeps the task.
  executor_([mailbox = weak_from_this()] {
    if (const auto self = mailbox.lock()) self->resume_waiter();
  });
}

std::coroutine_handle<> Mailbox::take_waiter() noexcept {
  waits_for_ = Until::kUpdate;
  return std::exchange(waiter_, {});
}

void Mailbox::resume_waiter() {
  std::coroutine_handle<> handle;
  {
    const base::MutexLock lock(mutex_);
    if (is_ready(waits_for_)) handle = take_waiter();
  }
  if (handle) handle.resume();
}

Update Mailbox::wait() {
  base::MutexLock lock(mutex_);
  while (!is_ready(Until::kUpdate)) wake_.wait(lock);
  Update taken = std::move(pending_);
  reset_pending();
  return taken;
}

bool Mailbox::ready(Until until) {
  const base::MutexLock lock(mutex_);
  return is_ready(until);
}

bool Mailbox::suspend(std::coroutine_handle<> handle, Until until) {
  const base::MutexLock lock(mutex_);
  if (is_ready(until)) return false;
  if (waiter_) {  // it would never be resumed
    base::fail(ErrorCode::kInvalidArgument, "stream: another coroutine waits for it already");
  }
  waiter_ = handle;
  waits_for_ = until;
  return true;
}

bool Mailbox::is_refused() {
  const base::MutexLock lock(mutex_);
  return !accepted_ && pending_.error.has_value();
}

void Mailbox::abandon() noexcept {
  const base::MutexLock lock(mutex_);
  take_waiter();
}

}  // namespace openllm::llm

#include "llm/mailbox.h"

#include <utility>

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
  has_news_ = false;
}

void Mailbox::post_quietly(base::FunctionRef<void(Update&)> change) {
  const std::lock_guard lock(mutex_);
  change(pending_);
}

void Mailbox::post(base::FunctionRef<void(Update&)> change) {
  bool resume = false;
  {
    const std::lock_guard lock(mutex_);
    change(pending_);
    has_news_ = true;
    if (!is_ready()) return;
    resume = static_cast<bool>(waiter_);
  }
  wake_.notify_one();
  // The coroutine stays registered until the executor gets to it, so that `abandon` can still
  // prevent the resumption.
  if (resume) executor_([self = shared_from_this()] { self->resume_waiter(); });
}

void Mailbox::resume_waiter() {
  std::coroutine_handle<> handle;
  {
    const std::lock_guard lock(mutex_);
    if (is_ready()) handle = std::exchange(waiter_, {});
  }
  if (handle) handle.resume();
}

Update Mailbox::wait() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return is_ready(); });
  Update taken = std::move(pending_);
  reset_pending();
  return taken;
}

bool Mailbox::ready() {
  const std::lock_guard lock(mutex_);
  return is_ready();
}

bool Mailbox::suspend(std::coroutine_handle<> handle) {
  const std::lock_guard lock(mutex_);
  if (is_ready()) return false;
  waiter_ = handle;
  return true;
}

void Mailbox::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  waiter_ = {};
}

}  // namespace openllm::llm

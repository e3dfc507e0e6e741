#pragma once

#include <coroutine>
#include <exception>

namespace openllm::server {

/// A coroutine that nobody awaits: runs from its call to its end and owns its frame. Its body must
/// catch everything.
struct DetachedTask {
  struct promise_type {
    DetachedTask get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

/// Lets one coroutine wait for `n` detached tasks of the same thread.
class Join {
 public:
  explicit Join(std::size_t n) noexcept : pending_(n) {}
  Join(const Join&) = delete;
  Join& operator=(const Join&) = delete;

  /// A task has ended; `error` may be null. Of several errors the first is kept. The last task must
  /// call this as its last action: it resumes the waiting coroutine.
  void done(const std::exception_ptr& error) {
    if (error && !error_) error_ = error;
    if (--pending_ == 0 && waiter_) waiter_.resume();
  }
  bool failed() const noexcept { return error_ != nullptr; }

  bool await_ready() const noexcept { return pending_ == 0; }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
  void await_resume() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::size_t pending_;
  std::exception_ptr error_;
  std::coroutine_handle<> waiter_;
};

}  // namespace openllm::server

#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "openllm/error.h"

namespace openllm {

/// A coroutine's result. Starts when awaited or when `get()` is called; runs at most once: after
/// that, and after the task was moved from, both throw kInvalidArgument.
/// `co_await std::move(task)` inside a coroutine, `task.get()` to block a thread.
template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct promise_type {
    std::optional<T> value{};
    std::exception_ptr error{};
    std::coroutine_handle<> continuation{};
    std::shared_ptr<std::atomic<bool>> done{};  // set for get()
    bool has_started = false;

    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct FinalAwaiter {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(Handle handle) noexcept {
        promise_type& promise = handle.promise();
        if (promise.continuation) return promise.continuation;
        // After the notification the waiting thread may destroy this frame: keep the flag alive.
        if (const auto flag = promise.done) {
          flag->store(true, std::memory_order_release);
          flag->notify_all();
        }
        return std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    FinalAwaiter final_suspend() noexcept { return {}; }
    void return_value(T result) { value.emplace(std::move(result)); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  /// Runs the coroutine to its end on the calling thread and on those that resume it, and returns
  /// its result or throws its exception. To be called once, and not from the thread that would have
  /// to resume the coroutine: that would wait for itself.
  T get() {
    begin();
    auto flag = std::make_shared<std::atomic<bool>>(false);
    handle_.promise().done = flag;
    handle_.resume();
    flag->wait(false, std::memory_order_acquire);
    return take();
  }

  /// Starts the coroutine and resumes the awaiting one with its result or its exception. The task
  /// must live until then.
  auto operator co_await() && {
    begin();
    struct Awaiter {
      Task* task;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        task->handle_.promise().continuation = awaiting;
        return task->handle_;
      }
      T await_resume() { return task->take(); }
    };
    return Awaiter{this};
  }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  void begin() {
    if (!handle_ || handle_.promise().has_started) {
      throw Error(ErrorCode::kInvalidArgument, handle_ ? "task: was run already (it runs once)"
                                                       : "task: is empty (it was moved from)");
    }
    handle_.promise().has_started = true;
  }
  T take() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }

  Handle handle_;
};

}  // namespace openllm

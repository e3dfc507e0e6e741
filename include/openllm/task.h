#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "openllm/error.h"

namespace openllm {

namespace detail {

/// What `Task::get` waits for. In the library: the standard's waiting on atomics reaches only those
/// who wait in the same shared object.
class OPENLLM_API TaskEnd {
 public:
  /// Throws kInvalidArgument on a thread of the library that the task may need to go on.
  TaskEnd();
  void signal() const noexcept;
  void wait() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The part of a task's promise that does not depend on the type of the result.
struct TaskPromiseBase {
  std::exception_ptr error{};
  std::coroutine_handle<> continuation{};
  std::optional<TaskEnd> done{};  // set for get()
  bool has_started = false;

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      TaskPromiseBase& promise = handle.promise();
      if (promise.continuation) return promise.continuation;
      // After the signal the waiting thread may destroy this frame: keep what it waits for alive.
      if (const auto end = promise.done) end->signal();
      return std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() { error = std::current_exception(); }
  void rethrow_error() const {
    if (error) std::rethrow_exception(error);
  }
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value{};

  void return_value(T result) { value.emplace(std::move(result)); }
  T take() {
    rethrow_error();
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  void return_void() noexcept {}
  void take() const { rethrow_error(); }
};

}  // namespace detail

/// A coroutine's result; `Task<void>` has only an end. `co_await task` inside a coroutine,
/// `task.get()` to block a thread, `when_all` for several. The body of the coroutine starts then,
/// and runs at most once: after that, and after the task was moved from, each of them throws
/// kInvalidArgument. A task that an LLM gave (`async_generate`, `async_chat`) has its request
/// running already; destroying it cancels that.
template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type : detail::TaskPromise<T> {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };
  using Handle = std::coroutine_handle<promise_type>;

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
  /// its result or throws its exception. Throws kInvalidArgument on the library's threads, where
  /// coroutines resume that have no executor of their own: it would wait for itself. On a thread of
  /// the program's executor it must not be called either.
  T get() {
    const detail::TaskEnd end;
    begin();
    handle_.promise().done = end;
    handle_.resume();
    end.wait();
    return take();
  }

  /// Starts the coroutine and resumes the awaiting one with its result or its exception. The task
  /// must live until then.
  auto operator co_await() {
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
  T take() { return handle_.promise().take(); }

  Handle handle_;
};

}  // namespace openllm

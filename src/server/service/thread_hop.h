#pragma once

#include <coroutine>

#include "openllm/options.h"

namespace openllm::server {

/// `co_await ThreadHop(executor)` goes on where the executor runs things. Throws what the executor
/// throws, and stays then. `executor` must outlive the await.
class ThreadHop {
 public:
  explicit ThreadHop(const Executor& executor) noexcept : executor_(executor) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    executor_([coroutine] { coroutine.resume(); });
  }
  void await_resume() const noexcept {}

 private:
  const Executor& executor_;
};

}  // namespace openllm::server

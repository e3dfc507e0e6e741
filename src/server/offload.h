#pragma once

#include <coroutine>
#include <exception>
#include <functional>

#include "base/worker.h"
#include "openllm/options.h"

namespace openllm::server {

/// `co_await Offload(worker, executor, n_bytes, work)` runs `work` and throws what it throws. Work
/// on more than a few bytes is done on the worker's thread, so that the I/O thread serves other
/// clients meanwhile; the coroutine goes on through `executor`. All arguments must outlive the
/// await.
class Offload {
 public:
  Offload(base::Worker& worker, const Executor& executor, std::size_t n_bytes,
          const std::function<void()>& work)
      : worker_(worker), executor_(executor), n_bytes_(n_bytes), work_(work) {}

  bool await_ready() {
    if (n_bytes_ > base::TwoPriorityPool::kMaxSmallBytes) return false;
    run();
    return true;
  }
  void await_suspend(std::coroutine_handle<> waiter) {
    worker_.post([this, waiter] {
      run();
      executor_([waiter] { waiter.resume(); });
    });
  }
  void await_resume() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void run() noexcept {
    try {
      work_();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  base::Worker& worker_;
  const Executor& executor_;
  const std::size_t n_bytes_;
  const std::function<void()>& work_;
  std::exception_ptr failure_{};
};

}  // namespace openllm::server

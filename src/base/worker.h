#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "base/thread_role.h"

namespace openllm::base {

/// Threads that run tasks: one, which runs them in order, unless more are allowed. Started by
/// `start` or the first task. Destroying it runs what is queued and waits, unless a task of its own
/// does the destroying; then that thread ends by itself.
class Worker {
 public:
  /// With more than one thread, a task that finds all of them busy gets another one, up to
  /// `max_threads`; then tasks begin in order, and may overtake each other.
  explicit Worker(ThreadRole role = ThreadRole::kForeign, std::size_t max_threads = 1);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Both throw kResourceExhausted when there is no thread to be had.
  void start();
  void post(std::function<void()> task);
  /// The calling thread is one of these.
  bool runs_here() const noexcept;

 private:
  struct Queue;
  static void run(const std::shared_ptr<Queue>& queue);

  std::shared_ptr<Queue> queue_;
};

/// Runs tasks by the size of their text on one of two workers, so that small ones never wait for
/// large ones. In order within each.
class TwoPriorityPool {
 public:
  /// Parsing or tokenizing this much takes a few milliseconds.
  static constexpr std::size_t kMaxSmallBytes = 64 << 10;

  explicit TwoPriorityPool(ThreadRole role = ThreadRole::kForeign) : small_(role), large_(role) {}

  void start() {
    small_.start();
    large_.start();
  }
  void post(std::size_t n_bytes, std::function<void()> task) {
    (n_bytes <= kMaxSmallBytes ? small_ : large_).post(std::move(task));
  }

 private:
  Worker small_;
  Worker large_;
};

}  // namespace openllm::base

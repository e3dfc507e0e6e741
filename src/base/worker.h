#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

namespace openllm::base {

/// One thread that runs tasks in order. Started by `start` or the first task. Destroying it runs
/// what is queued and waits, unless a task of its own does the destroying; then the thread ends by
/// itself.
class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Both throw kResourceExhausted when there is no thread to be had.
  void start();
  void post(std::function<void()> task);

 private:
  struct Queue;
  static void run(const std::shared_ptr<Queue>& queue);
  void start_locked();

  std::shared_ptr<Queue> queue_;
  std::thread thread_;
};

/// Runs tasks by the size of their text on one of two workers, so that small ones never wait for
/// large ones. In order within each.
class TwoPriorityPool {
 public:
  /// Parsing or tokenizing this much takes a few milliseconds.
  static constexpr std::size_t kMaxSmallBytes = 64 << 10;

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

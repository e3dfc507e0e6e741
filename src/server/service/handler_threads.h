#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "base/worker.h"
#include "openllm/options.h"

namespace openllm::server {

/// The threads on which endpoints of a Service run. Thread safety: every method from any thread.
class HandlerThreads {
 public:
  /// Calls that may wait, for each thread.
  static constexpr std::size_t kMaxWaiting = 64;

  /// `n_threads` 0: four per CPU, at least 8.
  explicit HandlerThreads(int n_threads);

  /// Runs things on the threads. Valid as long as this is.
  const Executor& executor() const noexcept { return executor_; }
  /// Throws kBusy when so many calls wait for a thread that no more shall come.
  void require_room() const;

 private:
  void post(std::function<void()> task);

  const std::size_t n_threads_;
  std::atomic<std::size_t> n_waiting_{0};  // posted and not begun
  const Executor executor_;
  base::Worker worker_;
};

}  // namespace openllm::server

#pragma once

#include <cstddef>
#include <memory>

#include "base/function_ref.h"

namespace openllm::base {

/// A few threads that run one region at a time together with the calling thread.
///
/// Made for machines whose CPUs may be taken away at any moment: work is split into chunks that any
/// thread may take, so one thread can finish a region alone, and a region ends as soon as every
/// chunk has run, without waiting for threads that took none. Waiting spins a bounded time, then
/// sleeps on a futex. Results must not depend on which thread runs which chunk.
class ThreadTeam {
 public:
  /// `n_threads` >= 1 counts the caller: 1 makes no thread. 0: one per CPU this process may use.
  explicit ThreadTeam(int n_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int n_threads() const noexcept;
  /// Runs body(chunk) for every chunk in [0, n_chunks), each once, and returns when all have run.
  /// `body` must not throw. One caller at a time; must not be called from inside a body.
  void run(std::size_t n_chunks, FunctionRef<void(std::size_t)> body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::base

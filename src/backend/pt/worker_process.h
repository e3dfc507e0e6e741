#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "backend/pt/descriptor.h"
#include "base/mutex.h"

namespace openllm::backend::pt {

/// A Python process that runs `script`, connected by a socket and by memory for logits. It is in a
/// process group of its own, ends with this process however that ends, and takes none of its other
/// descriptors along. What it prints is kept for messages; nobody else sees it.
///
/// Thread safety: one thread at a time, but `ask_to_stop`, which any thread may call.
class WorkerProcess {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  /// Throws kUnavailable when it cannot be started; a `python` that cannot be run shows up as an
  /// end at once.
  WorkerProcess(const std::string& python, std::string_view script);
  ~WorkerProcess();  ///< Kills it, and waits until it is gone.
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// Gives the worker its memory for logits. At most once.
  void allocate_logits(std::size_t n_floats);
  const float* logits() const noexcept { return logits_; }

  /// Both throw kUnavailable when the worker has ended, or ends as it broke the protocol or its
  /// time is over, telling how and its last words; it is killed then. After `ask_to_stop` there are
  /// two seconds left.
  void send(std::string_view frame, Deadline deadline);
  std::string receive(Deadline deadline);  ///< The text of a frame.
  /// Sends what can be sent without waiting, the rest before the next frame.
  void send_soon(std::string_view frame) noexcept;

  void ask_to_stop() noexcept;
  pid_t pid() const noexcept { return pid_; }

 private:
  void start(const std::string& python, Descriptor socket, Descriptor script);
  void watch(int output);
  void wait_for(short events, Deadline deadline);
  void write_pending(Deadline deadline);
  void read_exactly(char* to, std::size_t n, Deadline deadline);
  [[noreturn]] void fail_ended(std::string_view what);
  void kill() noexcept;
  std::string end_and_last_words();

  Descriptor socket_{};
  Descriptor stop_{};
  Descriptor memory_{};
  const float* logits_ = nullptr;
  std::size_t n_logit_bytes_ = 0;
  std::string pending_{};
  pid_t pid_ = 0;
  std::atomic<bool> stopping_ = false;

  mutable base::Mutex mutex_;
  base::CondVar ended_;
  std::string printed_ GUARDED_BY(mutex_){};  ///< Its end.
  std::optional<int> status_ GUARDED_BY(mutex_){};
  std::thread watcher_;
};

}  // namespace openllm::backend::pt

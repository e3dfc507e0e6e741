#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>

#include "net/http.h"

namespace openllm::net {

/// Many calls at once, timers and tasks, all on one thread of its own. What is given to it runs
/// there, one after the other, and must not throw.
class HttpLoop {
 public:
  using Id = std::uint64_t;
  using Task = std::function<void()>;
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What came of a call: an answer, or the exception that http_call would throw.
  struct Result {
    HttpAnswer answer{};
    std::exception_ptr error{};
  };
  using OnEnd = std::function<void(Result)>;

  /// Throws kResourceExhausted when there is no thread to be had.
  HttpLoop();
  ~HttpLoop();  ///< As `stop`.
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  /// Runs `task` on the thread, after those posted before. After `stop` it is dropped. From any
  /// thread.
  void post(Task task);
  /// Drops all calls and timers, runs what was posted before, and waits for the end of the thread.
  /// Not from that thread.
  void stop();

  // The rest on the loop's own thread only.

  /// The call begins soon; its functions are called until `on_end` was, or it is cancelled.
  Id start(HttpCall call, OnEnd on_end);
  /// Closes the connection of a call that has not ended; nothing of it is called any more.
  void cancel(Id call);
  Id start_timer(TimePoint when, Task task);
  void cancel_timer(Id timer);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::net

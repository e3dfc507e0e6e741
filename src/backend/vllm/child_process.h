#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/vllm/keeper.h"
#include "base/mutex.h"

namespace openllm::backend::vllm {

/// A program that runs in a process group of its own, with all it writes read by a thread here. It
/// gets SIGTERM when this process ends, however that happens. The destructor ends it: SIGTERM, and
/// SIGKILL after ten seconds.
class ChildProcess final : public StartedServer {
 public:
  /// `environment`: "NAME=value", over that of this process. Throws kUnavailable when it cannot be
  /// started.
  ChildProcess(const std::string& executable, const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment);
  ~ChildProcess() override;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// How it ended, "status 1" or "signal 9"; nullopt while it runs.
  std::optional<std::string> how_it_ended() const;
  /// The same, once it has ended or the time is over.
  std::optional<std::string> wait_until(std::chrono::steady_clock::time_point when) const override;
  /// The last lines that it wrote, 20 at most.
  std::string last_lines() const override;

 private:
  struct Start;
  void run(Start start);
  void follow(int output);
  void read(int output);
  void add_lines(std::string_view bytes);
  /// Reaps it if it has ended, and ends what it left behind.
  bool has_ended();

  mutable base::Mutex mutex_;
  mutable base::CondVar changed_;
  bool is_started_ GUARDED_BY(mutex_) = false;
  std::string failure_ GUARDED_BY(mutex_);  ///< Why it could not be started.
  pid_t process_ GUARDED_BY(mutex_) = -1;
  std::optional<std::string> end_ GUARDED_BY(mutex_);
  std::deque<std::string> lines_ GUARDED_BY(mutex_);
  std::string line_ GUARDED_BY(mutex_);
  std::thread thread_;  ///< Starts it and waits for it: its parent, by whose end it is told.
};

}  // namespace openllm::backend::vllm

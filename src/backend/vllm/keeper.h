#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/failure.h"
#include "base/mutex.h"
#include "base/worker.h"

namespace openllm::backend::vllm {

/// A server that was started for a model; its destructor ends it. Thread safety: every method from
/// any thread.
class StartedServer {
 public:
  virtual ~StartedServer() = default;
  /// How it ended, "status 1" or "signal 9", once it has or the time is over; nullopt while it
  /// runs.
  virtual std::optional<std::string> wait_until(
      std::chrono::steady_clock::time_point when) const = 0;
  /// The last lines that it wrote, 20 at most.
  virtual std::string last_lines() const = 0;
};

struct LaunchedServer {
  std::string url{};
  std::string api_key{};
  std::unique_ptr<StartedServer> process{};
};

/// Starts a server and waits until it is well; kCancelled by the token.
using StartServer = std::function<LaunchedServer(const std::stop_token& stop)>;

/// "its last lines:" and these, fit for display; that it wrote nothing, if so.
std::string quoted_lines(const StartedServer& server);

/// Keeps the server of a model: tells how it ended, and starts another one, not more often than
/// three times within ten minutes. What it is asked for happens on a thread of its own, and is told
/// there; after its destructor nothing is told.
class Keeper {
 public:
  /// `on_start`: what the new server needs before it is told of, by its address.
  Keeper(std::unique_ptr<StartedServer> server, StartServer start,
         std::function<void(const std::string& url)> on_start);
  ~Keeper();  ///< Ends a start that goes on, and the server.
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// How the server ended, with its last lines; nullopt: it runs. Waits for that a moment, as
  /// connections break before their process has ended.
  void find_out(std::function<void(std::optional<std::string> end)> tell);
  /// The address of another one, or why there is none.
  void start_again(std::function<void(const std::string& url, const base::Failure& failure)> tell);

 private:
  std::string require_another();

  const StartServer start_;
  const std::function<void(const std::string&)> on_start_;
  std::stop_source stop_;
  // On the worker's thread only.
  std::unique_ptr<StartedServer> server_;
  std::deque<std::chrono::steady_clock::time_point> starts_;
  std::string last_end_;
  base::Worker worker_;
};

}  // namespace openllm::backend::vllm

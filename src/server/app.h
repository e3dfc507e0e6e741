#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/worker.h"
#include "openllm/llm.h"
#include "openllm/server.h"
#include "server/cors.h"
#include "server/error_map.h"
#include "server/metrics.h"

namespace openllm::server {

/// How far the model is.
struct Readiness {
  enum class State { kLoading, kReady, kFailed };
  State state = State::kLoading;
  std::string reason{};
  ModelInfo info{};  ///< Set once ready.
};

/// What the endpoints share.
class App {
 public:
  /// Throws kInvalidArgument for wrong origins.
  App(LLM llm, ServerOptions options);

  const LLM& llm() const noexcept { return llm_; }
  const ServerOptions& options() const noexcept { return options_; }
  const Cors& cors() const noexcept { return cors_; }
  std::int64_t start_time() const noexcept { return start_time_; }

  /// Loads the model; blocks. What goes wrong ends in `readiness`.
  void load();
  Readiness readiness() const;
  /// Blocks until `load` has ended on another thread; throws what loading failed with.
  void wait_until_loaded() const;
  /// Fails with kUnavailable when loading has failed. Requests that come while the model loads wait
  /// for it.
  void require_loadable() const;
  /// What requests get that a failure of loading ends, whatever the failure was.
  static Error load_failure(std::string_view reason);

  /// The names /v1/models lists.
  std::vector<std::string> model_names() const;
  bool knows_model(const std::string& name) const;
  /// The name to show in the answer; fails with "model_not_found". Empty means the served model.
  std::string require_model(const std::string& name) const;
  /// Compares in a time that does not depend on where the keys differ. True if no keys are wanted.
  bool is_authorized(std::string_view authorization) const noexcept;

  // Set before the first request.
  Executor executor{};          ///< Runs things on the I/O thread.
  base::Worker large_bodies{};  ///< Reads what would hold the I/O thread for long.
  std::function<TransportStats()> transport_stats{};
  Metrics metrics{};  ///< I/O thread only.

 private:
  const LLM llm_;
  const ServerOptions options_;
  const Cors cors_;
  const std::int64_t start_time_;
  mutable std::mutex mutex_;
  mutable std::condition_variable loaded_;
  Readiness readiness_;
  std::exception_ptr failure_{};
};

}  // namespace openllm::server

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/pt/frames.h"
#include "backend/pt/worker_process.h"
#include "base/mutex.h"
#include "base/thread_team.h"
#include "engine/step_runner.h"

namespace openllm::backend::pt {

/// How a worker is started, and started again.
struct WorkerStart {
  std::string python{};  ///< Path of the interpreter.
  std::string script{};
  base::Json load{};  ///< The order to load the model.
  std::chrono::milliseconds timeout{};
  int max_output_rows = 0;
  int n_host_threads = 1;  ///< For what the engine does between two steps; 0: one per CPU.
};

/// Steps of the engine as forward passes of a Python process. When that dies, the step which it
/// computed fails, and the next one starts another; sequences that were not in the failed step are
/// computed there from their beginning. A worker that dies before it has done a step is not
/// followed by another.
class Runner final : public engine::StepRunner {
 public:
  /// Starts the worker and loads the model. Throws what keeps it from that.
  explicit Runner(WorkerStart start);
  ~Runner() override;

  /// Of the first worker.
  const LoadedModel& model() const noexcept { return model_; }
  int vocab_size() const noexcept override { return model_.vocab_size; }
  step::Outputs run(const step::Step& step) override;
  void forget(std::int64_t sequence_id) noexcept override;
  bool reads_blocks() const noexcept override { return false; }
  int n_threads() const noexcept override { return team_.n_threads(); }
  void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    team_.run(n, body);
  }

  /// What runs ends within seconds, and nothing is started any more. From any thread.
  void ask_to_stop() noexcept;
  /// Of the worker; 0: none. From any thread.
  pid_t pid() const noexcept;

 private:
  struct Known {
    std::vector<std::int32_t> tokens{};  ///< All that steps had, so that another worker can go on.
    std::uint64_t worker = 0;            ///< The one that has its cache.
  };

  void start_worker();
  void require_worker();
  void drop_worker() noexcept;
  std::vector<SequenceOrder> take_over(const step::Step& step);

  const WorkerStart start_;
  base::ThreadTeam team_;
  LoadedModel model_{};
  std::uint64_t n_started_ = 0;
  bool has_worked_ = true;  // the worker, or the last one
  std::string last_failure_{};
  std::unordered_map<std::int64_t, Known> known_{};
  std::vector<std::int64_t> freed_{};

  mutable base::Mutex mutex_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<WorkerProcess> worker_;  // changed with mutex_ held, by the engine's thread alone
};

}  // namespace openllm::backend::pt

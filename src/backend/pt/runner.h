#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
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
///
/// Thread safety: what concerns adapters, on any thread; it waits for the step that runs.
class Runner final : public engine::StepRunner {
 public:
  /// Starts the worker and loads the model. Throws what keeps it from that.
  explicit Runner(WorkerStart start);
  ~Runner() override;

  /// As the first worker told it.
  const LoadedModel& model() const noexcept { return model_; }
  int vocab_size() const noexcept override { return model_.vocab_size; }
  step::Outputs run(const step::Step& step) override;
  void forget(std::int64_t sequence_id) noexcept override;
  bool reads_blocks() const noexcept override { return false; }
  int n_threads() const noexcept override { return team_.n_threads(); }
  void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    team_.run(n, body);
  }

  /// Has the worker read an adapter, and gives the number that sums name it by. Another worker
  /// reads it again. Throws as parse_mounted and, when the worker dies of it, kUnavailable.
  std::int64_t mount_adapter(const std::string& path);
  void drop_adapter(std::int64_t adapter) noexcept;
  /// Rows of steps may name the sum until it is unmounted.
  void mount_sum(std::int32_t number, std::vector<AdapterPart> parts);
  void unmount_sum(std::int32_t number) noexcept;
  /// Throws kUnavailable when another worker could not read one of its adapters any more.
  void require_sum(std::int32_t number) const;

  /// What runs ends within seconds, and nothing is started any more. From any thread.
  void ask_to_stop() noexcept;
  /// Of the worker; 0: none. From any thread.
  pid_t pid() const noexcept;

 private:
  struct Known {
    std::vector<std::int32_t> tokens{};  ///< All that steps had, so that another worker can go on.
    std::uint64_t worker = 0;            ///< The one that has its cache.
  };

  /// One thread at a time talks to the worker, in the order in which they came.
  class Turn;

  void start_worker();
  void mount_again(WorkerProcess::Deadline deadline);
  void require_worker();
  void drop_worker() noexcept;
  std::vector<SequenceOrder> take_over(const step::Step& step);
  std::vector<AdapterPart> parts_of(std::int32_t sum) const;
  std::vector<std::int64_t> take_dropped() noexcept;

  const WorkerStart start_;
  base::ThreadTeam team_;
  LoadedModel model_{};
  // Touched by whoever has the turn:
  std::uint64_t n_started_ = 0;
  bool has_worked_ = true;  // the worker, or the last one
  std::string last_failure_{};
  std::unordered_map<std::int64_t, Known> known_{};
  std::vector<std::int64_t> freed_{};

  mutable base::Mutex mutex_;
  base::CondVar turn_over_;
  std::uint64_t n_turns_taken_ GUARDED_BY(mutex_) = 0;
  std::uint64_t n_turns_over_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::int64_t last_adapter_ GUARDED_BY(mutex_) = 0;
  std::map<std::int64_t, std::string> adapters_ GUARDED_BY(mutex_);  // paths
  std::map<std::int64_t, std::string> lost_ GUARDED_BY(mutex_);  // what kept a new worker from it
  std::vector<std::int64_t> dropped_ GUARDED_BY(mutex_);         // the worker is still to hear it
  std::map<std::int32_t, std::vector<AdapterPart>> sums_ GUARDED_BY(mutex_);
  std::unique_ptr<WorkerProcess> worker_;  // changed with mutex_ held, by whoever has the turn
};

}  // namespace openllm::backend::pt

#pragma once

#include <functional>
#include <memory>
#include <thread>

namespace openllm::llm {

/// One thread that runs tasks in order. Started by the first task. Destroying it runs what is
/// queued and waits, unless a task of its own does the destroying; then the thread ends by itself.
class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(std::function<void()> task);

 private:
  struct Queue;
  static void run(const std::shared_ptr<Queue>& queue);

  std::shared_ptr<Queue> queue_;
  std::thread thread_;
};

}  // namespace openllm::llm

#include "base/worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "base/start_thread.h"

namespace openllm::base {

struct Worker::Queue {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> tasks;
  bool closing = false;
};

Worker::Worker() : queue_(std::make_shared<Queue>()) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->closing = true;
  }
  queue_->wake.notify_one();
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Worker::start() {
  const std::lock_guard lock(queue_->mutex);
  start_locked();
}

void Worker::start_locked() {
  if (!thread_.joinable()) thread_ = start_thread([queue = queue_] { run(queue); });
}

void Worker::post(std::function<void()> task) {
  {
    const std::lock_guard lock(queue_->mutex);
    // The thread first: a task without one would wait for ever, and keep alive what it holds.
    start_locked();
    queue_->tasks.push_back(std::move(task));
  }
  queue_->wake.notify_one();
}

void Worker::run(const std::shared_ptr<Queue>& queue) {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(queue->mutex);
      queue->wake.wait(lock, [&] { return !queue->tasks.empty() || queue->closing; });
      if (queue->tasks.empty()) return;
      task = std::move(queue->tasks.front());
      queue->tasks.pop_front();
    }
    task();
  }
}

}  // namespace openllm::base

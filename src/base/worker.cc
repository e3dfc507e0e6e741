#include "base/worker.h"

#include <deque>
#include <utility>

#include "base/mutex.h"
#include "base/start_thread.h"

namespace openllm::base {

struct Worker::Queue {
  Mutex mutex;
  CondVar wake;
  std::deque<std::function<void()>> tasks GUARDED_BY(mutex);
  bool closing GUARDED_BY(mutex) = false;
};

Worker::Worker() : queue_(std::make_shared<Queue>()) {}

Worker::~Worker() {
  {
    const MutexLock lock(queue_->mutex);
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
  const MutexLock lock(queue_->mutex);
  start_locked();
}

void Worker::start_locked() {
  if (!thread_.joinable()) thread_ = start_thread([queue = queue_] { run(queue); });
}

void Worker::post(std::function<void()> task) {
  {
    const MutexLock lock(queue_->mutex);
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
      MutexLock lock(queue->mutex);
      while (queue->tasks.empty() && !queue->closing) queue->wake.wait(lock);
      if (queue->tasks.empty()) return;
      task = std::move(queue->tasks.front());
      queue->tasks.pop_front();
    }
    task();
  }
}

}  // namespace openllm::base

#include "base/worker.h"

#include <deque>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/start_thread.h"
#include "openllm/error.h"

namespace openllm::base {

struct Worker::Queue : std::enable_shared_from_this<Queue> {
  Queue(ThreadRole the_role, std::size_t most) : role(the_role), max_threads(most) {}

  void start_first() REQUIRES(mutex) {
    if (threads.empty() && !closing) start_thread_of_this();
  }
  void start_thread_of_this() REQUIRES(mutex) {
    threads.reserve(threads.size() + 1);  // a thread that nobody has could not be waited for
    threads.push_back(start_thread([queue = shared_from_this()] { run(queue); }));
  }
  /// One more for a task that all would let wait. It is no loss when there is none to be had.
  void start_another() noexcept REQUIRES(mutex) {
    if (n_idle >= tasks.size() || threads.size() >= max_threads) return;
    try {
      start_thread_of_this();
    } catch (const std::exception&) {
      return;
    }
  }

  const ThreadRole role;
  const std::size_t max_threads;
  Mutex mutex;
  CondVar wake;
  std::deque<std::function<void()>> tasks GUARDED_BY(mutex);
  std::vector<std::thread> threads GUARDED_BY(mutex);
  std::size_t n_idle GUARDED_BY(mutex) = 0;
  bool closing GUARDED_BY(mutex) = false;
};

Worker::Worker(ThreadRole role, std::size_t max_threads)
    : queue_(std::make_shared<Queue>(role, max_threads)) {}

Worker::~Worker() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(queue_->mutex);
    queue_->closing = true;
    threads.swap(queue_->threads);
  }
  queue_->wake.notify_all();
  for (std::thread& thread : threads) {
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
}

void Worker::start() {
  const MutexLock lock(queue_->mutex);
  queue_->start_first();
}

void Worker::post(std::function<void()> task) {
  {
    const MutexLock lock(queue_->mutex);
    // The thread first: a task without one would wait for ever, and keep alive what it holds.
    queue_->start_first();
    queue_->tasks.push_back(std::move(task));
    if (queue_->max_threads > 1) queue_->start_another();
  }
  queue_->wake.notify_one();
}

bool Worker::runs_here() const noexcept {
  const MutexLock lock(queue_->mutex);
  for (const std::thread& thread : queue_->threads) {
    if (thread.get_id() == std::this_thread::get_id()) return true;
  }
  return false;
}

void Worker::run(const std::shared_ptr<Queue>& queue) {
  set_thread_role(queue->role);
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(queue->mutex);
      ++queue->n_idle;
      while (queue->tasks.empty() && !queue->closing) queue->wake.wait(lock);
      --queue->n_idle;
      if (queue->tasks.empty()) return;
      task = std::move(queue->tasks.front());
      queue->tasks.pop_front();
    }
    task();
  }
}

}  // namespace openllm::base

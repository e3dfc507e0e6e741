#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

// A mutex that clang's thread safety analysis understands (-Wthread-safety): what it guards is
// marked with GUARDED_BY, and an access without the lock does not compile there. Other compilers
// see nothing of it. Source: clang 14's documentation, "Thread Safety Analysis".

#ifdef __clang__
#define OPENLLM_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define OPENLLM_THREAD_ATTRIBUTE(x)
#endif

/// On a member: only touched while that mutex is held.
#define GUARDED_BY(mutex) OPENLLM_THREAD_ATTRIBUTE(guarded_by(mutex))
/// On a function: the caller holds that mutex.
#define REQUIRES(mutex) OPENLLM_THREAD_ATTRIBUTE(requires_capability(mutex))
/// On a function: the caller does not hold that mutex.
#define EXCLUDES(mutex) OPENLLM_THREAD_ATTRIBUTE(locks_excluded(mutex))

namespace openllm::base {

class OPENLLM_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a mutex until the end of its scope; may let it go and take it again in between.
class OPENLLM_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) OPENLLM_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : lock_(mutex.mutex_) {}
  ~MutexLock() OPENLLM_THREAD_ATTRIBUTE(release_capability()) = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void unlock() OPENLLM_THREAD_ATTRIBUTE(release_capability()) { lock_.unlock(); }
  void lock() OPENLLM_THREAD_ATTRIBUTE(acquire_capability()) { lock_.lock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

/// Waits may end without a reason: ask in a loop whether what is waited for is there.
class CondVar {
 public:
  void wait(MutexLock& lock) { condition_.wait(lock.lock_); }
  /// False when the time is over.
  bool wait_until(MutexLock& lock, std::chrono::steady_clock::time_point deadline) {
    return condition_.wait_until(lock.lock_, deadline) == std::cv_status::no_timeout;
  }
  void notify_one() noexcept { condition_.notify_one(); }
  void notify_all() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace openllm::base

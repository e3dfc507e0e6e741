#include "openllm/task.h"

#include "base/error.h"
#include "base/mutex.h"
#include "base/thread_role.h"

namespace openllm::detail {

struct TaskEnd::State {
  base::Mutex mutex;
  base::CondVar wake;
  bool is_over GUARDED_BY(mutex) = false;
};

TaskEnd::TaskEnd() {
  if (base::thread_role() != base::ThreadRole::kForeign) {
    base::fail(ErrorCode::kInvalidArgument,
               "task: get() on a thread of the library would wait for itself (co_await the task)");
  }
  state_ = std::make_shared<State>();
}

void TaskEnd::signal() const noexcept {
  const base::MutexLock lock(state_->mutex);
  state_->is_over = true;
  state_->wake.notify_one();
}

void TaskEnd::wait() const {
  base::MutexLock lock(state_->mutex);
  while (!state_->is_over) state_->wake.wait(lock);
}

}  // namespace openllm::detail

#include "server/service/handler_threads.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/system_limits.h"

namespace openllm::server {

HandlerThreads::HandlerThreads(int n_threads)
    : n_threads_(static_cast<std::size_t>(n_threads > 0 ? n_threads
                                                        : std::max(8, 4 * base::available_cpus()))),
      executor_([this](std::function<void()> task) { post(std::move(task)); }),
      worker_(base::ThreadRole::kForeign, n_threads_) {}

void HandlerThreads::require_room() const {
  if (n_waiting_ < kMaxWaiting * n_threads_) return;
  base::fail(ErrorCode::kBusy, "server: too many calls wait for a thread (expected at most ",
             kMaxWaiting * n_threads_, ")");
}

void HandlerThreads::post(std::function<void()> task) {
  ++n_waiting_;
  try {
    worker_.post([this, task = std::move(task)] {
      --n_waiting_;
      task();
    });
  } catch (...) {
    --n_waiting_;
    throw;
  }
}

}  // namespace openllm::server

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/mutex.h"
#include "llm/output_sink.h"

namespace openllm::llm {

/// The requests that run, by the names that callers know them by; several may share one.
/// Thread safety: every method from any thread.
class RequestNames {
 public:
  void add(const std::string& name, const std::shared_ptr<OutputSink>& sink);
  /// Cancels all of that name that have not ended. Returns how many.
  std::size_t cancel(const std::string& name);

 private:
  void sweep() REQUIRES(mutex_);

  base::Mutex mutex_;
  std::unordered_multimap<std::string, std::weak_ptr<OutputSink>> sinks_ GUARDED_BY(mutex_);
  std::size_t sweep_at_ GUARDED_BY(mutex_) = 64;  // entries; those that ended go then
};

}  // namespace openllm::llm

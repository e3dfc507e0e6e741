#include "llm/request_names.h"

#include <algorithm>
#include <vector>

namespace openllm::llm {

void RequestNames::add(const std::string& name, const std::shared_ptr<OutputSink>& sink) {
  const base::MutexLock lock(mutex_);
  if (sinks_.size() >= sweep_at_) sweep();
  sinks_.emplace(name, sink);
}

std::size_t RequestNames::cancel(const std::string& name) {
  std::vector<std::shared_ptr<OutputSink>> found;
  {
    const base::MutexLock lock(mutex_);
    const auto [first, last] = sinks_.equal_range(name);
    for (auto it = first; it != last; ++it) {
      auto sink = it->second.lock();
      if (sink != nullptr && !sink->has_ended()) found.push_back(std::move(sink));
    }
    sinks_.erase(first, last);
  }
  for (const auto& sink : found) sink->cancel();
  return found.size();
}

void RequestNames::sweep() {
  std::erase_if(sinks_, [](const auto& entry) {
    const auto sink = entry.second.lock();
    return sink == nullptr || sink->has_ended();
  });
  sweep_at_ = std::max<std::size_t>(64, 2 * sinks_.size());
}

}  // namespace openllm::llm

#include "llm/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace openllm::llm {

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), include_stop_(include_stop) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::push(std::string_view piece) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(piece);
  held_ += piece;
  // `held_` began as a possible beginning of a stop string, so every match lies inside it. The
  // first match wins; of several that begin there, the longest, so that the result does not depend
  // on the order of the list.
  std::size_t begin = std::string::npos;
  std::size_t length = 0;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at < begin || (at == begin && at != std::string::npos && stop.size() > length)) {
      begin = at;
      length = stop.size();
    }
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    held_.resize(include_stop_ ? begin + length : begin);
    return std::exchange(held_, {});
  }
  const std::size_t keep = partial_length();
  std::string released = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return released;
}

std::string StopMatcher::push_unchecked(std::string_view piece) {
  held_ += piece;
  return flush();
}

std::string StopMatcher::flush() { return std::exchange(held_, {}); }

std::size_t StopMatcher::partial_length() const noexcept {
  const std::string_view held = held_;
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held.size()); n > longest; --n) {
      if (held.substr(held.size() - n) == std::string_view(stop).substr(0, n)) longest = n;
    }
  }
  return longest;
}

}  // namespace openllm::llm

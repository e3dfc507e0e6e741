#pragma once

#include <chrono>

namespace openllm::base {

/// The engine's only source of time, so that tests can set it.
class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

/// `timeout` from `now` on, or the end of time when that comes before.
inline Clock::TimePoint deadline_after(Clock::TimePoint now, std::chrono::milliseconds timeout) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::TimePoint::max() - now);
  return timeout < left ? now + timeout : Clock::TimePoint::max();
}

}  // namespace openllm::base

#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>

namespace openllm::client {

bool can_retry(const net::HttpAnswer& answer) noexcept {
  const int status = answer.status;
  if (status >= 200 && status < 300) return false;
  return answer.should_retry.value_or(status == 408 || status == 409 || status == 429 ||
                                      status >= 500);
}

std::chrono::milliseconds retry_pause(const net::HttpAnswer& answer, int attempt,
                                      const RetryPolicy& policy, double random) noexcept {
  constexpr std::chrono::milliseconds kLongest = std::chrono::minutes(1);
  constexpr int kMostDoublings = 4;
  constexpr double kSpread = 0.25;
  if (answer.retry_after) return std::min(*answer.retry_after, kLongest);
  const auto whole = policy.first_pause * (1 << std::min(attempt, kMostDoublings));
  const double factor = 1.0 + kSpread * (2.0 * random - 1.0);
  return std::chrono::milliseconds(std::llround(static_cast<double>(whole.count()) * factor));
}

bool pause(std::chrono::milliseconds time, const std::stop_token& stop,
           std::optional<std::chrono::steady_clock::time_point> deadline) {
  const auto end = std::chrono::steady_clock::now() + time;
  const bool is_late = deadline && *deadline <= end;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_until(lock, stop, is_late ? *deadline : end, [] { return false; });
  return !is_late && !stop.stop_requested();
}

}  // namespace openllm::client

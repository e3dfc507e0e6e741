#include "client/retry.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace openllm::client {

bool can_retry(int status) noexcept { return status == 408 || status == 429 || status >= 500; }

std::chrono::milliseconds retry_pause(const net::HttpAnswer& answer, int attempt) noexcept {
  constexpr std::chrono::milliseconds kLongest = std::chrono::minutes(1);
  constexpr std::chrono::milliseconds kFirst{500};
  constexpr int kMostDoublings = 5;
  if (answer.retry_after) return std::min(*answer.retry_after, kLongest);
  return kFirst * (1 << std::min(attempt, kMostDoublings));
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

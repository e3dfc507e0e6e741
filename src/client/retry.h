#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

#include "net/http.h"

namespace openllm::client {

/// How often a refused call is made again, and after which pauses.
struct RetryPolicy {
  int max_retries = 2;
  /// Where the server names no time: doubled with every attempt, up to 16 times this, and a quarter
  /// more or less, so that many clients do not come back together.
  std::chrono::milliseconds first_pause{500};
};

/// Whether the same request may be answered later: what the server says, else by the status.
bool can_retry(const net::HttpAnswer& answer) noexcept;

/// How long to wait before the next attempt: what the server asks for, at most a minute, else as
/// the policy says. `attempt`: those before, from 0. `random`: in [0, 1).
std::chrono::milliseconds retry_pause(const net::HttpAnswer& answer, int attempt,
                                      const RetryPolicy& policy, double random) noexcept;

/// Sleeps. False as soon as a stop is requested; false at `deadline` when that comes before the end
/// of the pause.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop,
           std::optional<std::chrono::steady_clock::time_point> deadline);

}  // namespace openllm::client

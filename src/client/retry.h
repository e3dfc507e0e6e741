#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

#include "net/http.h"

namespace openllm::client {

/// Whether the same request may be answered later.
bool can_retry(int status) noexcept;

/// How long to wait before the next attempt: what the server asks for, at most a minute, else half
/// a second, doubled with every attempt. `attempt`: those before, from 0.
std::chrono::milliseconds retry_pause(const net::HttpAnswer& answer, int attempt) noexcept;

/// Sleeps. False as soon as a stop is requested; false at `deadline` when that comes before the end
/// of the pause.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop,
           std::optional<std::chrono::steady_clock::time_point> deadline);

}  // namespace openllm::client

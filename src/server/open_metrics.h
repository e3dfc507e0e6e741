#pragma once

#include <string>
#include <string_view>

namespace openllm::server {

/// Whether the header field Accept prefers OpenMetrics to Prometheus's older text format.
bool wants_open_metrics(std::string_view accept);

/// The Prometheus text format, version 0.0.4, as OpenMetrics 1.0: families of counters lose the end
/// of their samples' names, bounds of buckets become floating-point numbers, and there is an end.
std::string to_open_metrics(std::string_view prometheus);

}  // namespace openllm::server

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "openllm/llm.h"
#include "server/http/transport.h"

namespace openllm::server {

/// Counts of durations in seconds by fixed upper bounds.
class Histogram {
 public:
  void add(double seconds) noexcept;
  void append(std::string& out, std::string_view name, std::string_view help) const;

 private:
  static constexpr std::array<double, 12> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                  0.5,   1,    2.5,   10,   30,  120};
  std::array<std::int64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0.0;
};

/// Used on the I/O thread only.
struct Metrics {
  std::map<std::pair<std::string, int>, std::int64_t> http_requests{};  ///< By route and status.
  std::int64_t n_disconnects = 0;  ///< Answers that the client did not wait for.
  /// Requests that were told to come again, by what was lacking: "wait" (they would have waited too
  /// long) or "queue" (no place).
  std::map<std::string, std::int64_t> refused{{"queue", 0}, {"wait", 0}};
  Histogram first_token{};  ///< From the request to its first token.
  Histogram duration{};     ///< From the request to the end of its answer.
};

/// Counters of one model's engine.
struct ModelMetrics {
  std::string name{};
  EngineStats engine{};
  bool is_ready = false;
};

/// Everything in the Prometheus text format, version 0.0.4. Values of an engine have the label
/// `model` when there are several models.
std::string to_prometheus(const Metrics& metrics, const TransportStats& transport,
                          const std::vector<ModelMetrics>& models);

}  // namespace openllm::server

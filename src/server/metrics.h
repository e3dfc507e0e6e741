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

/// Counts of durations in seconds by fixed upper bounds, from a token of a small model to the
/// answer of a large one.
class Histogram {
 public:
  void add(double seconds) noexcept;
  /// The samples. `label`: one besides the bounds, as `name="value"`; may be empty.
  void append(std::string& out, std::string_view name, std::string_view label) const;

 private:
  static constexpr std::array<double, 18> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                  0.1,   0.25,   0.5,   1,    2.5,   5,
                                                  10,    30,     60,    120,  300,   600};
  std::array<std::int64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0.0;
};

/// Where the time of requests to one model went. A request with several prompts is one for each.
struct RequestTimes {
  Histogram queue{};        ///< Until its first step.
  Histogram first_token{};  ///< Until its first token.
  /// Mean time between two tokens of a choice, for those that have two.
  Histogram output_token{};
  Histogram whole{};  ///< Until the end of its answer.

  /// An answer has ended. `n_tokens`: of its longest choice.
  void add(const Timing& timing, std::int64_t n_tokens) noexcept;
};

/// How long the choices of one answer are, from its outputs.
class AnswerCounts {
 public:
  void add(const GenerationOutput& output);
  std::int64_t longest() const noexcept;

 private:
  std::vector<std::int64_t> n_tokens_{};  // by choice
};

/// Used on the I/O thread only.
struct Metrics {
  std::map<std::pair<std::string, int>, std::int64_t> http_requests{};  ///< By route and status.
  std::int64_t n_disconnects = 0;  ///< Answers that the client did not wait for.
  /// Requests that were told to come again, by what was lacking: "wait" (they would have waited too
  /// long), "queue" (no place) or "share" (no place for this tenant, while others have some).
  std::map<std::string, std::int64_t> refused{{"queue", 0}, {"share", 0}, {"wait", 0}};
  std::map<std::string, RequestTimes> times{};  ///< By model.
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

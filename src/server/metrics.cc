#include "server/metrics.h"

#include "base/error.h"
#include "server/api/json_text.h"

namespace openllm::server {
namespace {

void append_head(std::string& out, std::string_view name, std::string_view type,
                 std::string_view help) {
  out += base::cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

void append_value(std::string& out, std::string_view name, std::string_view type,
                  std::string_view help, std::int64_t value) {
  append_head(out, name, type, help);
  out += base::cat(name, " ", value, "\n");
}

void append_engine(std::string& out, const EngineStats& s) {
  append_value(out, "openllm_requests_total", "counter", "Requests the engine accepted.",
               s.n_requests);
  append_value(out, "openllm_requests_finished_total", "counter", "Requests that ended.",
               s.n_finished);
  append_value(out, "openllm_sequences_running", "gauge", "Sequences with cache blocks.",
               s.n_running);
  append_value(out, "openllm_sequences_waiting", "gauge", "Sequences in the queue.", s.n_waiting);
  append_value(out, "openllm_steps_total", "counter", "Steps of the engine.", s.n_steps);
  append_value(out, "openllm_prompt_tokens_total", "counter", "Prompt tokens computed.",
               s.n_prompt_tokens);
  append_value(out, "openllm_cached_tokens_total", "counter",
               "Prompt tokens found in the prefix cache.", s.n_cached_tokens);
  append_value(out, "openllm_generated_tokens_total", "counter", "Tokens generated.",
               s.n_generated_tokens);
  append_value(out, "openllm_preemptions_total", "counter", "Sequences put back to make room.",
               s.n_preemptions);
  append_value(out, "openllm_cache_blocks", "gauge", "Blocks of the cache.", s.n_blocks_total);
  append_value(out, "openllm_cache_blocks_free", "gauge", "Blocks no sequence holds.",
               s.n_blocks_free);
}

}  // namespace

void Histogram::add(double seconds) noexcept {
  std::size_t i = 0;
  while (i < kBounds.size() && seconds > kBounds[i]) ++i;
  ++counts_[i];
  sum_ += seconds;
}

void Histogram::append(std::string& out, std::string_view name, std::string_view help) const {
  append_head(out, name, "histogram", help);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    total += counts_[i];
    out += base::cat(name, "_bucket{le=\"", kBounds[i], "\"} ", total, "\n");
  }
  total += counts_.back();
  out += base::cat(name, "_bucket{le=\"+Inf\"} ", total, "\n", name, "_sum ", sum_, "\n", name,
                   "_count ", total, "\n");
}

std::string to_prometheus(const Metrics& metrics, const TransportStats& transport,
                          const EngineStats& engine, bool is_ready) {
  std::string out;
  append_value(out, "openllm_ready", "gauge", "1 when the model is loaded.", is_ready ? 1 : 0);
  append_engine(out, engine);
  append_head(out, "openllm_http_requests_total", "counter", "Answers by route and status.");
  for (const auto& [key, count] : metrics.http_requests) {
    out += base::cat("openllm_http_requests_total{route=\"", key.first, "\",status=\"", key.second,
                     "\"} ", count, "\n");
  }
  append_value(out, "openllm_http_disconnects_total", "counter", "Answers whose client went away.",
               metrics.n_disconnects);
  append_value(out, "openllm_http_connections", "gauge", "Open connections.",
               transport.n_connections);
  append_value(out, "openllm_http_connections_total", "counter", "Connections accepted.",
               transport.n_accepted);
  append_value(out, "openllm_http_connections_rejected_total", "counter",
               "Connections over the limit.", transport.n_rejected);
  metrics.first_token.append(out, "openllm_first_token_seconds", "Time to the first token.");
  metrics.duration.append(out, "openllm_generation_seconds", "Time to the end of the answer.");
  return out;
}

}  // namespace openllm::server

#include "server/metrics.h"

#include "base/error.h"

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

/// A value that each model has.
struct ModelValue {
  const char* name;
  const char* type;
  const char* help;
  double (*get)(const ModelMetrics& model);
};

using M = ModelMetrics;

double count(std::int64_t n) { return static_cast<double>(n); }

constexpr std::array<ModelValue, 19> kModelValues{{
    {"openllm_ready", "gauge", "1 when the model is loaded.",
     [](const M& m) { return m.is_ready ? 1.0 : 0.0; }},
    {"openllm_requests_total", "counter", "Requests the engine accepted.",
     [](const M& m) { return count(m.engine.n_requests); }},
    {"openllm_requests_finished_total", "counter", "Requests that ended.",
     [](const M& m) { return count(m.engine.n_finished); }},
    {"openllm_sequences_running", "gauge", "Sequences with cache blocks.",
     [](const M& m) { return count(m.engine.n_running); }},
    {"openllm_sequences_waiting", "gauge", "Sequences in the queue.",
     [](const M& m) { return count(m.engine.n_waiting); }},
    {"openllm_steps_total", "counter", "Steps of the engine.",
     [](const M& m) { return count(m.engine.n_steps); }},
    {"openllm_prompt_tokens_total", "counter", "Prompt tokens computed.",
     [](const M& m) { return count(m.engine.n_prompt_tokens); }},
    {"openllm_cached_tokens_total", "counter", "Prompt tokens found in the prefix cache.",
     [](const M& m) { return count(m.engine.n_cached_tokens); }},
    {"openllm_generated_tokens_total", "counter", "Tokens generated.",
     [](const M& m) { return count(m.engine.n_generated_tokens); }},
    {"openllm_preemptions_total", "counter", "Sequences put back to make room.",
     [](const M& m) { return count(m.engine.n_preemptions); }},
    {"openllm_cache_blocks", "gauge", "Blocks of the cache.",
     [](const M& m) { return count(m.engine.n_blocks_total); }},
    {"openllm_cache_blocks_free", "gauge", "Blocks no sequence holds.",
     [](const M& m) { return count(m.engine.n_blocks_free); }},
    {"openllm_cache_bytes", "gauge", "Memory of all blocks of the cache.",
     [](const M& m) { return count(m.engine.kv_bytes_total); }},
    {"openllm_cache_touched_bytes", "gauge", "Memory of the blocks used so far.",
     [](const M& m) { return count(m.engine.kv_bytes_touched); }},
    {"openllm_sequences_max", "gauge", "Most sequences that the engine takes, waiting ones too.",
     [](const M& m) { return count(m.engine.max_open()); }},
    {"openllm_estimated_wait_seconds", "gauge",
     "Time that a short request would wait for its first step if it came now.",
     [](const M& m) { return m.engine.estimated_wait_s; }},
    {"openllm_step_seconds", "gauge", "Time of a step, lately.",
     [](const M& m) { return m.engine.step_s; }},
    {"openllm_prompt_tokens_per_second", "gauge",
     "Speed at which prompts are computed when nothing else runs.",
     [](const M& m) { return m.engine.prompt_rows_per_s; }},
    {"openllm_generated_tokens_per_second", "gauge", "Tokens generated, lately.",
     [](const M& m) { return m.engine.tokens_per_s; }},
}};

/// The value of a label, in quotes.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

void append_models(std::string& out, const std::vector<ModelMetrics>& models) {
  for (const ModelValue& value : kModelValues) {
    append_head(out, value.name, value.type, value.help);
    for (const ModelMetrics& model : models) {
      const std::string label =
          models.size() > 1 ? base::cat("{model=", quoted(model.name), "}") : std::string();
      out += base::cat(value.name, label, " ", value.get(model), "\n");
    }
  }
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
                          const std::vector<ModelMetrics>& models) {
  std::string out;
  append_models(out, models);
  append_head(out, "openllm_http_requests_total", "counter", "Answers by route and status.");
  for (const auto& [key, count] : metrics.http_requests) {
    out += base::cat("openllm_http_requests_total{route=\"", key.first, "\",status=\"", key.second,
                     "\"} ", count, "\n");
  }
  append_head(out, "openllm_requests_refused_total", "counter",
              "Requests told to come again (429), by what was lacking.");
  for (const auto& [reason, n] : metrics.refused)
    out += base::cat("openllm_requests_refused_total{reason=\"", reason, "\"} ", n, "\n");
  append_value(out, "openllm_http_disconnects_total", "counter", "Answers whose client went away.",
               metrics.n_disconnects);
  append_value(out, "openllm_http_open_connections", "gauge", "Open connections.",
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

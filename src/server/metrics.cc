#include "server/metrics.h"

#include <algorithm>

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

constexpr std::array<ModelValue, 26> kModelValues{{
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
    {"openllm_draft_tokens_total", "counter", "Tokens guessed ahead of an answer.",
     [](const M& m) { return count(m.engine.n_draft_tokens); }},
    {"openllm_accepted_drafts_total", "counter", "Guessed tokens that the model drew itself.",
     [](const M& m) { return count(m.engine.n_accepted_drafts); }},
    {"openllm_model_draft_tokens_total", "counter",
     "Of the guessed tokens, those of a draft model.",
     [](const M& m) { return count(m.engine.n_model_draft_tokens); }},
    {"openllm_accepted_model_drafts_total", "counter",
     "Of these, those that the model drew itself.",
     [](const M& m) { return count(m.engine.n_accepted_model_drafts); }},
    {"openllm_draft_model_rows_total", "counter", "Rows that the draft model computed.",
     [](const M& m) { return count(m.engine.n_draft_model_rows); }},
    {"openllm_draft_model_seconds_total", "counter", "Time that the draft model took.",
     [](const M& m) { return m.engine.draft_model_s; }},
    {"openllm_draft_model_failures_total", "counter", "Draft models that failed and guess no more.",
     [](const M& m) { return count(m.engine.n_draft_model_failures); }},
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
std::string label_text(std::string_view text) {
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

/// `name="value"`, where there are several models to tell apart.
std::string label_of(const ModelMetrics& model, const std::vector<ModelMetrics>& models) {
  return models.size() > 1 ? base::cat("model=", label_text(model.name)) : std::string();
}

void append_models(std::string& out, const std::vector<ModelMetrics>& models) {
  for (const ModelValue& value : kModelValues) {
    append_head(out, value.name, value.type, value.help);
    for (const ModelMetrics& model : models) {
      const std::string label = label_of(model, models);
      out += base::cat(value.name, label.empty() ? "" : base::cat("{", label, "}"), " ",
                       value.get(model), "\n");
    }
  }
}

/// A value that each of a model's places has.
struct PlaceValue {
  const char* name;
  const char* type;
  const char* help;
  double (*get)(const PlaceStats& place);
};

using P = PlaceStats;

constexpr std::array<PlaceValue, 7> kPlaceValues{{
    {"openllm_place_up", "gauge", "1 when the place is loaded and well.",
     [](const P& p) { return p.is_up ? 1.0 : 0.0; }},
    {"openllm_place_sequences", "gauge", "Sequences that the place has of this server.",
     [](const P& p) { return count(p.n_open); }},
    {"openllm_place_slots", "gauge", "Sequences that the place runs at once; 0: not known.",
     [](const P& p) { return count(p.n_slots); }},
    {"openllm_place_requests_total", "counter", "Requests, and parts of some, that went there.",
     [](const P& p) { return count(p.n_requests); }},
    {"openllm_place_failures_total", "counter", "Of these, those that the place failed.",
     [](const P& p) { return count(p.n_failures); }},
    {"openllm_place_generated_tokens_total", "counter", "Tokens that ended answers have of there.",
     [](const P& p) { return count(p.n_generated_tokens); }},
    {"openllm_place_token_seconds", "gauge", "Time for a token of a sequence there, lately.",
     [](const P& p) { return p.token_s; }},
}};

void append_places(std::string& out, const std::vector<ModelMetrics>& models) {
  const bool has_places = std::any_of(models.begin(), models.end(), [](const ModelMetrics& model) {
    return !model.engine.places.empty();
  });
  if (!has_places) return;
  for (const PlaceValue& value : kPlaceValues) {
    append_head(out, value.name, value.type, value.help);
    for (const ModelMetrics& model : models) {
      const std::string label = label_of(model, models);
      for (const PlaceStats& place : model.engine.places) {
        out += base::cat(value.name, "{", label, label.empty() ? "" : ",",
                         "place=", label_text(place.name), "} ", value.get(place), "\n");
      }
    }
  }
}

/// A histogram that each model has. Names are vLLM's, with our prefix.
struct ModelHistogram {
  const char* name;
  const char* help;
  Histogram RequestTimes::*member;
};

constexpr std::array<ModelHistogram, 4> kModelHistograms{{
    {"openllm_request_queue_time_seconds", "Time of answered requests until their first step.",
     &RequestTimes::queue},
    {"openllm_time_to_first_token_seconds", "Time until the first token.",
     &RequestTimes::first_token},
    {"openllm_time_per_output_token_seconds",
     "Mean time between the tokens of an answer, by requests.", &RequestTimes::output_token},
    {"openllm_e2e_request_latency_seconds", "Time until the end of the answer.",
     &RequestTimes::whole},
}};

void append_times(std::string& out, const std::map<std::string, RequestTimes>& times,
                  const std::vector<ModelMetrics>& models) {
  const RequestTimes none;
  for (const ModelHistogram& histogram : kModelHistograms) {
    append_head(out, histogram.name, "histogram", histogram.help);
    for (const ModelMetrics& model : models) {
      const auto found = times.find(model.name);
      const RequestTimes& of_model = found == times.end() ? none : found->second;
      const std::string label = label_of(model, models);
      (of_model.*histogram.member).append(out, histogram.name, label);
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

void Histogram::append(std::string& out, std::string_view name, std::string_view label) const {
  const std::string more = label.empty() ? std::string() : base::cat(",", label);
  const std::string alone = label.empty() ? std::string() : base::cat("{", label, "}");
  std::int64_t total = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    total += counts_[i];
    out += base::cat(name, "_bucket{le=\"", kBounds[i], "\"", more, "} ", total, "\n");
  }
  total += counts_.back();
  out += base::cat(name, "_bucket{le=\"+Inf\"", more, "} ", total, "\n");
  out += base::cat(name, "_sum", alone, " ", sum_, "\n", name, "_count", alone, " ", total, "\n");
}

void RequestTimes::add(const Timing& timing, std::int64_t n_tokens) noexcept {
  if (timing.queued_s) queue.add(*timing.queued_s);
  if (timing.first_token_s) first_token.add(*timing.first_token_s);
  if (timing.first_token_s && n_tokens > 1)
    output_token.add((timing.total_s - *timing.first_token_s) / static_cast<double>(n_tokens - 1));
  whole.add(timing.total_s);
}

void AnswerCounts::add(const GenerationOutput& output) {
  n_tokens_.resize(std::max(n_tokens_.size(), output.outputs.size()));
  for (std::size_t i = 0; i < output.outputs.size(); ++i)
    n_tokens_[i] += static_cast<std::int64_t>(output.outputs[i].n_delta_tokens);
}

std::int64_t AnswerCounts::longest() const noexcept {
  return n_tokens_.empty() ? 0 : *std::max_element(n_tokens_.begin(), n_tokens_.end());
}

std::string to_prometheus(const Metrics& metrics, const TransportStats& transport,
                          const std::vector<ModelMetrics>& models) {
  std::string out;
  append_models(out, models);
  append_places(out, models);
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
  append_times(out, metrics.times, models);
  return out;
}

}  // namespace openllm::server

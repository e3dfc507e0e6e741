#include "openllm/outputs.h"

#include "base/json.h"

namespace openllm {

namespace {

void append_ids(std::string& out, const std::vector<std::int32_t>& ids) {
  out += '[';
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(ids[i]);
  }
  out += ']';
}

void append_logprobs(std::string& out, const std::optional<std::vector<TokenLogprobs>>& list,
                     bool empty_is_null) {
  if (!list) {
    out += "null";
    return;
  }
  out += '[';
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (i > 0) out += ',';
    if ((*list)[i].empty() && empty_is_null) {
      out += "null";
      continue;
    }
    base::Json entry = base::Json::object();
    for (const TokenLogprob& token : (*list)[i]) {
      entry[std::to_string(token.token_id)] = static_cast<double>(token.logprob);
    }
    out += entry.dump();
  }
  out += ']';
}

void append_chunk(std::string& out, const CompletionChunk& chunk) {
  out += "{\"index\":" + std::to_string(chunk.index) + ",\"text\":";
  base::append_json_string(out, chunk.text);
  out += ",\"token_ids\":";
  append_ids(out, chunk.token_ids);
  out +=
      ",\"cumulative_logprob\":" + base::Json(chunk.cumulative_logprob).dump() + ",\"logprobs\":";
  append_logprobs(out, chunk.logprobs, false);
  out += ",\"finish_reason\":";
  if (chunk.finish_reason) {
    base::append_json_string(out, to_string(*chunk.finish_reason));
  } else {
    out += "null";
  }
  out += ",\"delta\":";
  base::append_json_string(out, chunk.delta);
  out += ",\"n_delta_tokens\":" + std::to_string(chunk.n_delta_tokens) + '}';
}

void append_usage(std::string& out, const Usage& usage) {
  out += "{\"n_prompt_tokens\":" + std::to_string(usage.n_prompt_tokens) +
         ",\"n_cached_tokens\":" + std::to_string(usage.n_cached_tokens) +
         ",\"n_completion_tokens\":" + std::to_string(usage.n_completion_tokens) + '}';
}

std::string seconds(const std::optional<double>& value) {
  return value ? base::Json(*value).dump() : "null";
}

void append_timing(std::string& out, const Timing& timing) {
  out += "{\"queued_s\":" + seconds(timing.queued_s) +
         ",\"first_token_s\":" + seconds(timing.first_token_s) +
         ",\"total_s\":" + seconds(timing.total_s) + '}';
}

}  // namespace

std::string to_json(const GenerationOutput& output) {
  std::string out = "{\"prompt\":";
  base::append_json_string(out, output.prompt);
  out += output.finished ? ",\"finished\":true" : ",\"finished\":false";
  out += ",\"outputs\":[";
  for (std::size_t i = 0; i < output.outputs.size(); ++i) {
    if (i > 0) out += ',';
    append_chunk(out, output.outputs[i]);
  }
  out += "],\"prompt_token_ids\":";
  if (output.prompt_token_ids) {
    append_ids(out, *output.prompt_token_ids);
  } else {
    out += "null";
  }
  out += ",\"prompt_logprobs\":";
  append_logprobs(out, output.prompt_logprobs, true);
  out += ",\"request_id\":";
  base::append_json_string(out, output.request_id);
  out += ",\"n_cached_tokens\":" + std::to_string(output.n_cached_tokens);
  out += ",\"error\":";
  if (output.error.empty()) {
    out += "null";
  } else {
    base::append_json_string(out, output.error);
  }
  out += ",\"usage\":";
  append_usage(out, output.usage);
  out += ",\"timing\":";
  append_timing(out, output.timing);
  out += ",\"receipt\":" + (output.receipt.empty() ? "null" : output.receipt) + '}';
  return out;
}

}  // namespace openllm

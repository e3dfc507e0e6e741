#include "server/api/native_request.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "server/api/chat_request.h"
#include "server/api/common_request.h"
#include "server/api/fields.h"

namespace openllm::server {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr double kMaxFloat = std::numeric_limits<float>::max();

using Names = std::vector<std::string>;

/// Fields of the body; the rest of a request's options is in `llm_config`.
Names body_names() {
  return {"model", "prompt",         "prompt_token_ids", "messages",  "llm_config",
          "stop",  "stop_token_ids", "adapter_name",     "request_id"};
}

/// Fields of `llm_config`, named as in GenerateOptions.
Names config_names() {
  return {"max_new_tokens",
          "min_new_tokens",
          "temperature",
          "top_k",
          "top_p",
          "min_p",
          "repetition_penalty",
          "presence_penalty",
          "frequency_penalty",
          "seed",
          "n",
          "logprobs",
          "prompt_logprobs",
          "ignore_eos",
          "skip_special_tokens",
          "add_special_tokens",
          "include_stop_in_output",
          "truncate_prompt"};
}

void refuse_unknown(const Fields& fields, const base::Json& object, const Names& known) {
  constexpr std::size_t kMaxShown = 60;
  for (const auto& [name, value] : *object.if_object()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string where = fields.name_of(name.substr(0, kMaxShown));
    const auto meant = base::nearest(name, known);
    throw ApiError(ErrorCode::kInvalidArgument,
                   base::cat(where, ": unknown field",
                             meant ? base::cat(" (did you mean ", *meant, "?)") : std::string()),
                   where, "unknown_parameter");
  }
}

std::optional<float> number(const Fields& fields, std::string_view name, double min, double max) {
  const std::optional<double> value = fields.number(name, min, max);
  return value ? std::optional<float>(static_cast<float>(*value)) : std::nullopt;
}

std::optional<int> integer(const Fields& fields, std::string_view name, int min, int max) {
  const std::optional<std::int64_t> value = fields.integer(name, min, max);
  return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
}

void parse_config(const base::Json& json, GenerateOptions& options) {
  const Fields config(json, "llm_config");
  refuse_unknown(config, json, config_names());
  options.max_new_tokens = integer(config, "max_new_tokens", 0, kMaxInt);
  options.min_new_tokens = integer(config, "min_new_tokens", 0, kMaxInt);
  options.temperature = number(config, "temperature", 0.0, kMaxFloat);
  options.top_k = integer(config, "top_k", -1, kMaxInt);
  options.top_p = number(config, "top_p", 0.0, 1.0);
  options.min_p = number(config, "min_p", 0.0, 1.0);
  options.repetition_penalty = number(config, "repetition_penalty", 1e-3, kMaxFloat);
  options.presence_penalty = number(config, "presence_penalty", -kMaxFloat, kMaxFloat);
  options.frequency_penalty = number(config, "frequency_penalty", -kMaxFloat, kMaxFloat);
  if (const auto seed = config.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max())) {
    options.seed = static_cast<std::uint64_t>(*seed);
  }
  options.n = integer(config, "n", 1, 128).value_or(1);
  options.logprobs = integer(config, "logprobs", 0, kMaxLogprobs);
  options.prompt_logprobs = integer(config, "prompt_logprobs", 0, kMaxLogprobs);
  options.ignore_eos = config.boolean("ignore_eos").value_or(options.ignore_eos);
  options.skip_special_tokens =
      config.boolean("skip_special_tokens").value_or(options.skip_special_tokens);
  options.add_special_tokens =
      config.boolean("add_special_tokens").value_or(options.add_special_tokens);
  options.include_stop_in_output =
      config.boolean("include_stop_in_output").value_or(options.include_stop_in_output);
  options.truncate_prompt = config.boolean("truncate_prompt").value_or(options.truncate_prompt);
}

Prompt parse_prompt(const Fields& body) {
  const std::string* text = body.string("prompt");
  const base::JsonArray* ids = body.array("prompt_token_ids");
  const base::JsonArray* messages = body.array("messages");
  const int n_given =
      (text != nullptr ? 1 : 0) + (ids != nullptr ? 1 : 0) + (messages != nullptr ? 1 : 0);
  if (n_given == 0) body.fail_missing("prompt");
  if (n_given > 1)
    body.fail_value("prompt", "one of prompt, prompt_token_ids and messages", "several");
  if (messages != nullptr) return parse_messages(body);
  if (text != nullptr) return *text;
  if (ids->empty()) body.fail_value("prompt_token_ids", "at least one token", "an empty array");
  return body.token_ids("prompt_token_ids");
}

}  // namespace

NativeRequest parse_native_request(std::string_view text) {
  const base::Json json = base::Json::parse(text, "request body");
  const Fields body(json);
  refuse_unknown(body, json, body_names());
  NativeRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  request.prompt = parse_prompt(body);
  if (const base::Json* config = body.object("llm_config")) parse_config(*config, request.options);
  request.options.stop = body.strings("stop", kMaxStops);
  request.options.stop_token_ids = body.token_ids("stop_token_ids");
  if (const std::string* name = body.string("adapter_name")) request.options.adapter_name = *name;
  if (const std::string* id = body.string("request_id")) request.options.request_id = *id;
  return request;
}

}  // namespace openllm::server

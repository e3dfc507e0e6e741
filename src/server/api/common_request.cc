#include "server/api/common_request.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/error.h"

namespace openllm::server {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

/// Fields that change the answer and that this server lacks. A value that asks for nothing is fine.
constexpr std::array<std::string_view, 38> kUnsupported{"audio",
                                                        "web_search_options",
                                                        "functions",
                                                        "suffix",
                                                        "use_beam_search",
                                                        "guided_json",
                                                        "guided_regex",
                                                        "guided_choice",
                                                        "guided_grammar",
                                                        "guided_whitespace_pattern",
                                                        "structured_outputs",
                                                        "grammar",
                                                        "json_schema",
                                                        "regex",
                                                        "ebnf",
                                                        "stop_regex",
                                                        "allowed_token_ids",
                                                        "bad_words",
                                                        "truncate_prompt_tokens",
                                                        "typical_p",
                                                        "top_n_sigma",
                                                        "xtc_probability",
                                                        "dry_multiplier",
                                                        "mirostat",
                                                        "dynatemp_range",
                                                        "prompt_logprobs",
                                                        "prompt_embeds",
                                                        "chat_template",
                                                        "documents",
                                                        "length_penalty",
                                                        "no_repeat_ngram_size",
                                                        "lora",
                                                        "adapter_name",
                                                        "logits_processors",
                                                        "thinking_token_budget",
                                                        "repetition_detection",
                                                        "logit_processors",
                                                        "custom_logit_processor"};

bool asks_for_nothing(const base::Json& value) {
  if (value.is_null()) return true;
  if (const bool* flag = value.if_bool()) return !*flag;
  if (value.is_number()) return value.as_double("value") == 0.0;
  if (const std::string* text = value.if_string()) return text->empty();
  if (const base::JsonArray* list = value.if_array()) return list->empty();
  return value.if_object()->empty();
}

void refuse_unsupported(const Fields& body) {
  for (const std::string_view name : kUnsupported) {
    const base::Json* value = body.find(name);
    if (value == nullptr || asks_for_nothing(*value)) continue;
    if ((name == "typical_p" || name == "length_penalty") && value->is_number() &&
        value->as_double(name) == 1.0) {
      continue;  // their neutral value
    }
    body.fail_unsupported(name, "this server does not have that feature");
  }
  if (const base::Json* format = body.object("response_format")) {
    const std::string* type = Fields(*format, "response_format").string("type");
    if (type == nullptr) Fields(*format, "response_format").fail_missing("type");
    if (*type != "text")
      body.fail_unsupported("response_format", base::cat("only type text, got ", *type));
  }
  if (const base::JsonArray* modalities = body.array("modalities")) {
    for (const base::Json& entry : *modalities) {
      const std::string* name = entry.if_string();
      if (name == nullptr || *name != "text") body.fail_unsupported("modalities", "only text");
    }
  }
}

std::map<std::int32_t, float> parse_logit_bias(const Fields& body) {
  std::map<std::int32_t, float> result;
  const base::Json* bias = body.object("logit_bias");
  if (bias == nullptr) return result;
  const Fields entries(*bias, "logit_bias");
  for (const auto& [key, value] : *bias->if_object()) {
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0) {
      body.fail_value("logit_bias", "token ids as names", key);
    }
    const auto number = entries.number(key, -100.0, 100.0);
    if (number) result[id] = static_cast<float>(*number);
  }
  return result;
}

std::optional<float> to_float(std::optional<double> value) {
  return value ? std::optional<float>(static_cast<float>(*value)) : std::nullopt;
}

std::optional<int> to_int(std::optional<std::int64_t> value) {
  return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
}

void parse_sampling(const Fields& body, GenerateOptions& options) {
  options.temperature = to_float(body.number("temperature", 0.0, 2.0));
  options.top_p = to_float(body.number("top_p", 0.0, 1.0));
  options.top_k = to_int(body.integer("top_k", -1, kMaxInt));
  options.min_p = to_float(body.number("min_p", 0.0, 1.0));
  options.repetition_penalty = to_float(body.number("repetition_penalty", 1e-3, 100.0));
  options.presence_penalty = to_float(body.number("presence_penalty", -2.0, 2.0));
  options.frequency_penalty = to_float(body.number("frequency_penalty", -2.0, 2.0));
  options.logit_bias = parse_logit_bias(body);
  if (const auto seed = body.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max())) {
    options.seed = static_cast<std::uint64_t>(*seed);
  }
  options.n = static_cast<int>(body.integer("n", 1, 128).value_or(1));
  if (const auto best_of = body.integer("best_of", 1, 128); best_of && *best_of != options.n) {
    if (*best_of < options.n)
      body.fail_value("best_of", base::cat("n (", options.n, ")"), std::to_string(*best_of));
    body.fail_unsupported("best_of", "only the value of n");
  }
}

void parse_stops(const Fields& body, GenerateOptions& options) {
  options.stop = body.strings("stop", kMaxStops);
  for (const std::string& stop : options.stop) {
    if (stop.empty()) body.fail_value("stop", "texts that are not empty", "an empty text");
  }
  options.stop_token_ids = body.token_ids("stop_token_ids");
  options.include_stop_in_output = body.boolean("include_stop_str_in_output").value_or(false);
  options.ignore_eos = body.boolean("ignore_eos").value_or(false);
  options.min_new_tokens = to_int(body.integer("min_tokens", 0, kMaxInt));
}

}  // namespace

CommonRequest parse_common(const Fields& body) {
  refuse_unsupported(body);
  CommonRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  parse_sampling(body, request.options);
  parse_stops(body, request.options);
  request.options.skip_special_tokens = body.boolean("skip_special_tokens").value_or(true);
  request.options.truncate_prompt = body.boolean("truncate_prompt").value_or(false);
  request.options.priority =
      static_cast<int>(body.integer("priority", -kMaxInt, kMaxInt).value_or(0));
  request.stream = body.boolean("stream").value_or(false);
  if (const base::Json* stream_options = body.object("stream_options")) {
    if (!request.stream) body.fail_value("stream_options", "stream to be true", "stream false");
    request.include_usage =
        Fields(*stream_options, "stream_options").boolean("include_usage").value_or(false);
  }
  request.return_token_ids = body.boolean("return_token_ids").value_or(false);
  request.return_tokens_as_token_ids = body.boolean("return_tokens_as_token_ids").value_or(false);
  return request;
}

}  // namespace openllm::server

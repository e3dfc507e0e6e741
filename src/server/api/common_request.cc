#include "server/api/common_request.h"

#include <array>

#include "base/error.h"
#include "base/random_id.h"
#include "fields/body.h"

namespace openllm::server {
namespace {

/// Names that change the answer, that this server lacks and that are no fields of generation: those
/// are in the table (fields/table.cc). A value that asks for nothing is fine.
constexpr std::array<std::string_view, 31> kUnsupported{"audio",
                                                        "web_search_options",
                                                        "functions",
                                                        "suffix",
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
                                                        "bad_words",
                                                        "truncate_prompt_tokens",
                                                        "top_n_sigma",
                                                        "xtc_probability",
                                                        "dry_multiplier",
                                                        "mirostat",
                                                        "dynatemp_range",
                                                        "prompt_embeds",
                                                        "chat_template",
                                                        "documents",
                                                        "lora",
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

/// OpenAI's best_of: more answers made than shown, which this server lacks.
void check_best_of(const Fields& body, int n_choices) {
  const auto best_of = body.integer("best_of", 1, 128);
  if (!best_of || *best_of == n_choices) return;
  if (*best_of < n_choices)
    body.fail_value("best_of", base::cat("n (", n_choices, ")"), std::to_string(*best_of));
  body.fail_unsupported("best_of", "only the value of n");
}

}  // namespace

std::string answer_id(std::string_view prefix, const CommonRequest& request) {
  const std::string& given = request.options.request_id;
  return given.empty() ? base::random_id(prefix) : base::cat(prefix, given);
}

CommonRequest parse_common(const base::Json& json, fields::Way way) {
  const Fields body(json);
  refuse_unsupported(body);
  CommonRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  fields::read_body(json, way, request.options);
  check_best_of(body, request.options.n);
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

#include "server/api/completion_request.h"

#include <utility>

#include "base/error.h"
#include "fields/values.h"

namespace openllm::server {
namespace {

constexpr std::size_t kMaxPrompts = 1024;

Prompt parse_prompt(const Fields& body, const base::Json& value, const std::string& where) {
  if (const std::string* text = value.if_string()) return Prompt(*text);
  if (const base::JsonArray* ids = value.if_array()) {
    if (ids->empty()) body.fail_value(where, "at least one token", "an empty array");
    return Prompt(fields::read_token_ids(value, where));
  }
  body.fail_type(where, "string or array of token ids", value);
}

std::vector<Prompt> parse_prompts(const Fields& body) {
  const base::Json* value = body.find("prompt");
  if (value == nullptr) body.fail_missing("prompt");
  const base::JsonArray* list = value->if_array();
  if (list == nullptr || (!list->empty() && (*list)[0].is_number()))
    return {parse_prompt(body, *value, "prompt")};
  if (list->empty()) body.fail_value("prompt", "at least one prompt", "an empty array");
  if (list->size() > kMaxPrompts) {
    body.fail_value("prompt", base::cat("at most ", kMaxPrompts, " prompts"),
                    std::to_string(list->size()));
  }
  std::vector<Prompt> prompts;
  prompts.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    prompts.push_back(parse_prompt(body, (*list)[i], base::cat("prompt[", i, "]")));
  }
  return prompts;
}

}  // namespace

CompletionRequest parse_completion_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  CompletionRequest request;
  static_cast<CommonRequest&>(request) = parse_common(json, fields::kCompletions);
  request.prompts = parse_prompts(body);
  request.echo = body.boolean("echo").value_or(false);
  constexpr int kDefaultLength = 16;  // OpenAI's
  GenerateOptions& options = request.options;
  if (!options.max_new_tokens) options.max_new_tokens = kDefaultLength;
  if (request.echo) options.prompt_logprobs = options.logprobs;
  return request;
}

}  // namespace openllm::server

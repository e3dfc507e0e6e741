#include "server/api/completion_request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "fields/values.h"

namespace openllm::server {
namespace {

constexpr std::size_t kMaxPrompts = 1024;
constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();

/// Numbers with texts among them.
bool is_mixed(const base::JsonArray& list) {
  std::size_t n_texts = 0;
  std::size_t n_numbers = 0;
  for (const base::Json& item : list) {
    n_texts += item.is_string() ? 1 : 0;
    n_numbers += item.is_number() ? 1 : 0;
  }
  return n_texts > 0 && n_numbers > 0 && n_texts + n_numbers == list.size();
}

PromptParts parse_parts(const base::JsonArray& list, const std::string& where) {
  PromptParts parts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (const std::string* text = list[i].if_string()) {
      parts.emplace_back(*text);
    } else {
      parts.emplace_back(static_cast<std::int32_t>(
          fields::read_integer(list[i], base::cat(where, "[", i, "]"), 0, kMaxId)));
    }
  }
  return parts;
}

void add_prompt(const Fields& body, const base::Json& value, const std::string& where,
                CompletionRequest& request) {
  const base::JsonArray* list = value.if_array();
  if (const std::string* text = value.if_string()) {
    request.prompts.emplace_back(*text);
  } else if (list == nullptr) {
    body.fail_type(where, "string or array of token ids", value);
  } else if (list->empty()) {
    body.fail_value(where, "at least one token", "an empty array");
  } else if (is_mixed(*list)) {
    request.mixed.emplace(request.prompts.size(), parse_parts(*list, where));
    request.prompts.emplace_back(std::vector<std::int32_t>{});
  } else {
    request.prompts.emplace_back(fields::read_token_ids(value, where));
  }
}

void parse_prompts(const Fields& body, CompletionRequest& request) {
  const base::Json* value = body.find("prompt");
  if (value == nullptr) body.fail_missing("prompt");
  const base::JsonArray* list = value->if_array();
  const bool is_one =
      list == nullptr || (!list->empty() && ((*list)[0].is_number() || is_mixed(*list)));
  if (is_one) return add_prompt(body, *value, "prompt", request);
  if (list->empty()) body.fail_value("prompt", "at least one prompt", "an empty array");
  if (list->size() > kMaxPrompts) {
    body.fail_value("prompt", base::cat("at most ", kMaxPrompts, " prompts"),
                    std::to_string(list->size()));
  }
  request.prompts.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i)
    add_prompt(body, (*list)[i], base::cat("prompt[", i, "]"), request);
}

}  // namespace

CompletionRequest parse_completion_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  CompletionRequest request;
  static_cast<CommonRequest&>(request) = parse_common(json, fields::kCompletions);
  parse_prompts(body, request);
  request.echo = body.boolean("echo").value_or(false);
  return request;
}

void check_logprobs(CompletionRequest& request) {
  GenerateOptions& options = request.options;
  request.return_prompt_logprobs = options.prompt_logprobs.has_value();
  if (request.echo && options.logprobs)
    options.prompt_logprobs = std::max(options.prompt_logprobs.value_or(0), *options.logprobs);
  if (!options.logprobs) return;
  // Offsets count in the text as it is decoded token by token.
  const auto refuse = [](const char* field) {
    base::fail_with(ErrorCode::kUnsupported, {field, ErrorReason::kUnsupportedField}, field,
                    ": unsupported (not beside logprobs, for text_offset)");
  };
  if (options.clean_up_tokenization_spaces.value_or(false)) refuse("clean_up_tokenization_spaces");
  if (!options.spaces_between_special_tokens.value_or(true) &&
      !options.skip_special_tokens.value_or(true)) {
    refuse("spaces_between_special_tokens");
  }
}

void join_mixed_prompts(
    CompletionRequest& request,
    const std::function<std::vector<std::int32_t>(const std::string&, bool)>& tokenize) {
  for (const auto& [index, parts] : request.mixed) {
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (const auto* text = std::get_if<std::string>(&parts[i])) {
        const bool is_special = i == 0 && request.options.add_special_tokens;
        const std::vector<std::int32_t> more = tokenize(*text, is_special);
        ids.insert(ids.end(), more.begin(), more.end());
      } else {
        ids.push_back(std::get<std::int32_t>(parts[i]));
      }
    }
    request.prompts[index] = Prompt(std::move(ids));
  }
  request.mixed.clear();
}

}  // namespace openllm::server

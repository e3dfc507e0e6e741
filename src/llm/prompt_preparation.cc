#include "llm/prompt_preparation.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace openllm::llm {
namespace {

/// Most tokens of a prompt that is not truncated.
int room_of(const PromptLimits& limits) {
  return limits.max_new_tokens > 0 ? limits.max_model_len - 1 : limits.max_model_len;
}

/// Some clients look for the words "maximum context length", which OpenAI's message has.
void check_length(std::size_t n_tokens, const Prompt& prompt, const PromptLimits& limits,
                  std::string_view bound = "") {
  const int room = room_of(limits);
  if (n_tokens <= static_cast<std::size_t>(room)) return;
  const std::string_view where = prompt.messages() != nullptr ? "messages" : "prompt";
  base::fail_with(ErrorCode::kInvalidArgument, {where, ErrorReason::kContextTooLong}, where,
                  ": too long for the context (expected at most ", room, " tokens, got ", bound,
                  n_tokens, "): this model's maximum context length is ", limits.max_model_len,
                  " tokens, prompt and answer together; set truncate_prompt to keep the prompt's "
                  "last tokens");
}

void truncate(std::vector<std::int32_t>& ids, const PromptLimits& limits) {
  const auto length = static_cast<std::int64_t>(ids.size());
  // Room for the answer comes first, but at least half of the context is the prompt's.
  const int keep =
      limits.max_model_len - std::min(limits.max_new_tokens, std::max(1, limits.max_model_len / 2));
  if (length > keep)
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length - keep));
}

PreparedPrompt tokenize(LocalModel& model, const Prompt& prompt, const GenerateOptions& options,
                        const PromptLimits& limits) {
  PreparedPrompt prepared;
  const auto tokenizer = model.require_tokenizer();
  tokenizer::EncodeOptions encode;
  chat::RenderedPrompt rendered;
  if (const auto* messages = prompt.messages()) {
    rendered = model.render_guarded(*messages, options);
    prepared.text = std::move(rendered.text);
    encode.add_special_tokens = false;  // the template writes them itself
    encode.guards = rendered.guards;
  } else {
    prepared.text = *prompt.text();
    encode.add_special_tokens = options.add_special_tokens;
  }
  // What cannot fit is refused before the time is spent to know how long it is.
  if (!limits.truncate)
    check_length(tokenizer->min_tokens(prepared.text), prompt, limits, "at least ");
  prepared.token_ids = tokenizer->encode(prepared.text, encode);
  if (prepared.token_ids.empty() && options.add_special_tokens && tokenizer->bos_id()) {
    // An empty prompt starts at the beginning of a text.
    prepared.token_ids.push_back(*tokenizer->bos_id());
  }
  return prepared;
}

}  // namespace

PreparedPrompt prepare_prompt(LocalModel& model, const Prompt& prompt,
                              const GenerateOptions& options, const PromptLimits& limits) {
  PreparedPrompt prepared;
  if (const auto* ids = prompt.token_ids()) {
    prepared.token_ids = *ids;
  } else {
    prepared = tokenize(model, prompt, options, limits);
  }
  if (limits.truncate) {
    truncate(prepared.token_ids, limits);
  } else {
    check_length(prepared.token_ids.size(), prompt, limits);
  }
  return prepared;
}

std::size_t text_bytes(const Prompt& prompt, const GenerateOptions& options) {
  if (const std::string* text = prompt.text()) return text->size();
  const auto* messages = prompt.messages();
  if (messages == nullptr) return 0;
  std::size_t n_bytes = options.tools_json.size() + options.chat_template_json.size();
  for (const Message& message : *messages)
    n_bytes += message.content.size() + message.extra_json.size();
  return n_bytes;
}

}  // namespace openllm::llm

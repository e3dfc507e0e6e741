#include "client/wire.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/message_json.h"
#include "client/output_parts.h"
#include "client/server_error.h"
#include "fields/access.h"
#include "fields/body.h"

namespace openllm::client {
namespace {

std::int32_t token_id(const base::Json* name) {
  constexpr std::string_view kPrefix = "token_id:";
  const std::string* text = name == nullptr ? nullptr : name->if_string();
  if (text == nullptr || text->substr(0, kPrefix.size()) != kPrefix) return -1;
  std::int32_t id = -1;
  std::from_chars(text->data() + kPrefix.size(), text->data() + text->size(), id);
  return id;
}

TokenLogprob entry_of(const base::Json& json) {
  const base::Json* logprob = json.find("logprob");
  const bool is_number = logprob != nullptr && logprob->is_number();
  return {token_id(json.find("token")),
          is_number ? static_cast<float>(logprob->as_double(kAnswer)) : 0.0F};
}

void add_chat_logprobs(CompletionChunk& chunk, const base::Json& logprobs) {
  const base::Json* content = logprobs.find("content");
  if (content == nullptr || !content->is_array()) return;
  if (!chunk.logprobs) chunk.logprobs.emplace();
  for (const base::Json& position : *content->if_array()) {
    TokenLogprobs list{entry_of(position)};
    const base::Json* top = position.find("top_logprobs");
    if (top != nullptr && top->is_array()) {
      for (const base::Json& other : *top->if_array()) {
        const TokenLogprob entry = entry_of(other);
        if (entry.token_id != list.front().token_id) list.push_back(entry);
      }
    }
    chunk.cumulative_logprob += static_cast<double>(list.front().logprob);
    chunk.logprobs->push_back(std::move(list));
  }
}

void add_completion_logprobs(CompletionChunk& chunk, const base::Json& logprobs) {
  const base::Json* tokens = logprobs.find("tokens");
  const base::Json* values = logprobs.find("token_logprobs");
  const base::Json* tops = logprobs.find("top_logprobs");
  if (tokens == nullptr || values == nullptr || !tokens->is_array() || !values->is_array()) return;
  if (!chunk.logprobs) chunk.logprobs.emplace();
  const std::size_t n = std::min(tokens->if_array()->size(), values->if_array()->size());
  for (std::size_t i = 0; i < n; ++i) {
    const base::Json& value = (*values->if_array())[i];
    const std::int32_t id = token_id(&(*tokens->if_array())[i]);
    TokenLogprobs list{
        {id, value.is_number() ? static_cast<float>(value.as_double(kAnswer)) : 0.0F}};
    const bool has_top = tops != nullptr && tops->is_array() && i < tops->if_array()->size();
    const base::JsonObject* top = has_top ? (*tops->if_array())[i].if_object() : nullptr;
    if (top != nullptr) {
      for (const auto& [name, logprob] : *top) {
        const base::Json key(name);
        if (token_id(&key) != id && logprob.is_number()) {
          list.push_back({token_id(&key), static_cast<float>(logprob.as_double(kAnswer))});
        }
      }
    }
    chunk.cumulative_logprob += static_cast<double>(list.front().logprob);
    chunk.logprobs->push_back(std::move(list));
  }
}

/// vLLM's [null, {"7": {"logprob": -1.5, ...}, ...}, ...]; the prompt's own token comes first.
void set_prompt_logprobs(GenerationOutput& output, const base::Json* lists) {
  if (lists == nullptr || !lists->is_array() || output.prompt_logprobs) return;
  output.prompt_logprobs.emplace();
  for (const base::Json& position : *lists->if_array()) {
    TokenLogprobs& list = output.prompt_logprobs->emplace_back();
    const base::JsonObject* entries = position.if_object();
    if (entries == nullptr) continue;
    for (const auto& [name, entry] : *entries) {
      const base::Json key("token_id:" + name);
      const base::Json* logprob = entry.find("logprob");
      if (logprob != nullptr && logprob->is_number())
        list.push_back({token_id(&key), static_cast<float>(logprob->as_double(kAnswer))});
    }
  }
}

std::optional<FinishReason> finish_reason(const base::Json* json) {
  const std::string* name = json == nullptr ? nullptr : json->if_string();
  if (name == nullptr) return std::nullopt;
  return *name == "length" ? FinishReason::kLength : FinishReason::kStop;
}

/// A text, or the texts of a list of parts; empty for anything else.
std::string content_text(const base::Json& content) {
  if (const std::string* text = content.if_string()) return *text;
  std::string joined;
  const base::JsonArray* parts = content.if_array();
  if (parts == nullptr) return joined;
  for (const base::Json& part : *parts) {
    const base::Json* text = part.find("text");
    if (text != nullptr && text->is_string()) joined += *text->if_string();
  }
  return joined;
}

std::string text_of(const base::Json& choice) {
  if (const base::Json* text = choice.find("text")) return content_text(*text);
  for (const char* name : {"delta", "message"}) {
    const base::Json* holder = choice.find(name);
    const base::Json* content = holder == nullptr ? nullptr : holder->find("content");
    if (content != nullptr) return content_text(*content);
  }
  return {};
}

void merge_choice(GenerationOutput& output, const base::Json& json) {
  CompletionChunk& chunk = choice_at(output, json.find("index"));
  add_text(chunk, text_of(json));
  add_tokens(chunk, json.find("token_ids"));
  if (const base::Json* logprobs = json.find("logprobs");
      logprobs != nullptr && logprobs->is_object()) {
    add_chat_logprobs(chunk, *logprobs);
    add_completion_logprobs(chunk, *logprobs);
  }
  // What the server has added up is there without logprobs, and not rounded.
  const base::Json* sum = json.find("cumulative_logprob");
  if (sum != nullptr && sum->is_number()) chunk.cumulative_logprob = sum->as_double(kAnswer);
  if (const auto reason = finish_reason(json.find("finish_reason"))) chunk.finish_reason = reason;
  set_prompt_ids(output, json.find("prompt_token_ids"));
  set_prompt_logprobs(output, json.find("prompt_logprobs"));
}

}  // namespace

std::string make_body(const Prompt& prompt, const GenerateOptions& options,
                      const std::string& model, bool stream) {
  base::Json body = base::Json::object();
  body["model"] = model;
  const auto* messages = prompt.messages();
  if (messages != nullptr) {
    body["messages"] = base::messages_to_json(*messages);
  } else if (const std::vector<std::int32_t>* ids = prompt.token_ids()) {
    body["prompt"] = prompt_ids_json(*ids);
  } else {
    body["prompt"] = *prompt.text();
  }
  if (messages == nullptr) fields::check_without_messages(options);
  fields::write_body(options, messages != nullptr ? fields::kChat : fields::kCompletions, body);
  if (messages != nullptr && options.logprobs) {  // a boolean and a number in chats
    body["logprobs"] = true;
    body["top_logprobs"] = *options.logprobs;
  }
  body["return_token_ids"] = true;
  if (options.logprobs) body["return_tokens_as_token_ids"] = true;
  if (stream) {
    body["stream"] = true;
    body["stream_options"]["include_usage"] = true;
  }
  return body.dump();
}

namespace {

void merge_any(GenerationOutput& output, const base::Json& answer, OutputKind kind) {
  if (!answer.is_object())
    base::fail(ErrorCode::kIo, kAnswer, ": not an object (got ", answer.type_name(), ")");
  if (const base::Json* id = answer.find("id"); id != nullptr && id->is_string())
    output.request_id = *id->if_string();
  begin_part(output, kind);
  const base::Json* choices = answer.find("choices");
  if (choices == nullptr || !choices->is_array())
    base::fail(ErrorCode::kIo, kAnswer, ": has no choices");
  for (const base::Json& choice : *choices->if_array()) merge_choice(output, choice);
  set_prompt_ids(output, answer.find("prompt_token_ids"));
  count_new_tokens(output);
  merge_usage(output, answer);
  output.finished =
      std::all_of(output.outputs.begin(), output.outputs.end(),
                  [](const CompletionChunk& chunk) { return chunk.finish_reason.has_value(); });
}

}  // namespace

bool has_usage(const base::Json& answer) noexcept {
  const base::Json* usage = answer.find("usage");
  return usage != nullptr && usage->is_object();
}

bool has_only_usage(const base::Json& answer) noexcept {
  const base::Json* choices = answer.find("choices");
  const bool has_choices =
      choices != nullptr && choices->is_array() && !choices->if_array()->empty();
  return has_usage(answer) && !has_choices;
}

void merge_usage(GenerationOutput& output, const base::Json& answer) {
  const base::Json* receipt = answer.find("receipt");
  if (receipt != nullptr && receipt->is_object()) output.receipt = receipt->dump();
  if (!has_usage(answer)) return;
  const base::Json* usage = answer.find("usage");
  Usage& total = output.usage;
  read_count(usage, "prompt_tokens", total.n_prompt_tokens);
  read_count(usage, "completion_tokens", total.n_completion_tokens);
  read_count(usage->find("prompt_tokens_details"), "cached_tokens", total.n_cached_tokens);
  output.n_cached_tokens = total.n_cached_tokens;
}

void merge_answer(GenerationOutput& output, const base::Json& answer, OutputKind kind) {
  read_answer([&] { merge_any(output, answer, kind); });
}

}  // namespace openllm::client

#include "client/wire.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/message_json.h"
#include "base/utf8.h"
#include "fields/body.h"

namespace openllm::client {
namespace {

constexpr std::string_view kWhere = "server's answer";
constexpr int kNoStatus = 0;  // of an error inside of an answer

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
          is_number ? static_cast<float>(logprob->as_double(kWhere)) : 0.0F};
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
        {id, value.is_number() ? static_cast<float>(value.as_double(kWhere)) : 0.0F}};
    const bool has_top = tops != nullptr && tops->is_array() && i < tops->if_array()->size();
    const base::JsonObject* top = has_top ? (*tops->if_array())[i].if_object() : nullptr;
    if (top != nullptr) {
      for (const auto& [name, logprob] : *top) {
        const base::Json key(name);
        if (token_id(&key) != id && logprob.is_number()) {
          list.push_back({token_id(&key), static_cast<float>(logprob.as_double(kWhere))});
        }
      }
    }
    chunk.cumulative_logprob += static_cast<double>(list.front().logprob);
    chunk.logprobs->push_back(std::move(list));
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

void merge_ids(std::vector<std::int32_t>& to, const base::Json* ids) {
  if (ids == nullptr || !ids->is_array()) return;
  for (const base::Json& id : *ids->if_array())
    to.push_back(static_cast<std::int32_t>(id.as_int(kWhere)));
}

void merge_choice(GenerationOutput& output, const base::Json& json) {
  const base::Json* index_json = json.find("index");
  const std::int64_t index = index_json == nullptr ? 0 : index_json->as_int(kWhere);
  if (index < 0 || index >= static_cast<std::int64_t>(output.outputs.size())) {
    base::fail(ErrorCode::kIo, kWhere, ": bad choice (expected less than ", output.outputs.size(),
               ", got ", index, ")");
  }
  CompletionChunk& chunk = output.outputs[static_cast<std::size_t>(index)];
  const std::string text = text_of(json);
  chunk.delta += text;
  chunk.text += text;
  const std::size_t n_before = chunk.token_ids.size();
  merge_ids(chunk.token_ids, json.find("token_ids"));
  chunk.n_delta_tokens += chunk.token_ids.size() - n_before;
  if (const base::Json* logprobs = json.find("logprobs");
      logprobs != nullptr && logprobs->is_object()) {
    add_chat_logprobs(chunk, *logprobs);
    add_completion_logprobs(chunk, *logprobs);
  }
  if (const auto reason = finish_reason(json.find("finish_reason"))) chunk.finish_reason = reason;
  if (const base::Json* ids = json.find("prompt_token_ids"); ids != nullptr && ids->is_array()) {
    output.prompt_token_ids.emplace();
    merge_ids(*output.prompt_token_ids, ids);
  }
}

ErrorCode code_of(int status) {
  switch (status) {
    case 400:
    case 401:
    case 403:
    case 413:
    case 415:
    case 422:
      return ErrorCode::kInvalidArgument;
    case 404:
    case 405:
      return ErrorCode::kNotFound;
    case 408:
    case 504:
      return ErrorCode::kDeadline;
    case 429:
      return ErrorCode::kBusy;
    case 501:
      return ErrorCode::kUnsupported;
    case 502:
    case 503:
      return ErrorCode::kUnavailable;
    default:
      return status >= 500 || status == kNoStatus ? ErrorCode::kInternal : ErrorCode::kIo;
  }
}

/// Code and reason of an error.
struct Meaning {
  ErrorCode code = ErrorCode::kInternal;
  ErrorReason reason = ErrorReason::kNone;
};

/// The meaning of a server's code, which says more than the status. Errors inside of an answer have
/// no status of their own: there the code, or the number that some servers give, is all.
Meaning meaning_of(int status, const base::Json& error) {
  struct Name {
    std::string_view name{};
    Meaning meaning{};
  };
  using enum ErrorCode;
  constexpr std::array<Name, 11> kNames{
      {{"chat_template_missing", {kUnsupported, ErrorReason::kTemplateMissing}},
       {"unsupported_parameter", {kUnsupported, ErrorReason::kUnsupportedField}},
       {"unknown_parameter", {kInvalidArgument, ErrorReason::kUnknownField}},
       {"missing_required_parameter", {kInvalidArgument, ErrorReason::kMissingField}},
       {"context_length_exceeded", {kInvalidArgument, ErrorReason::kContextTooLong}},
       {"model_not_found", {kNotFound, ErrorReason::kModelNotFound}},
       {"model_load_failed", {kUnavailable, ErrorReason::kModelNotLoaded}},
       {"unavailable", {kUnavailable}},
       {"rate_limit_exceeded", {kBusy}},
       {"insufficient_quota", {kResourceExhausted}},
       {"deadline_exceeded", {kDeadline}}}};
  const base::Json* code = error.find("code");
  const std::string* text = code == nullptr ? nullptr : code->if_string();
  for (const auto& [name, meaning] : kNames) {
    if (text != nullptr && *text == name) return meaning;
  }
  const bool is_status = status == kNoStatus && code != nullptr && code->is_int() &&
                         *code->if_int() >= 400 && *code->if_int() <= 599;
  return {code_of(is_status ? static_cast<int>(*code->if_int()) : status)};
}

const std::string* text_member(const base::Json& json, const char* name) {
  const base::Json* member = json.find(name);
  return member == nullptr ? nullptr : member->if_string();
}

/// The message of an error body, in OpenAI's shape or in a simpler one of other servers.
const std::string* error_message(const base::Json& json) {
  const base::Json* error = json.find("error");
  if (error != nullptr)
    return error->is_object() ? text_member(*error, "message") : error->if_string();
  for (const char* name : {"message", "detail"}) {
    if (const std::string* text = text_member(json, name)) return text;
  }
  return nullptr;
}

std::string beginning(std::string_view text) {
  constexpr std::size_t kMax = 200;
  return printable(text.substr(0, kMax)) + (text.size() > kMax ? "..." : "");
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown = base::sanitize_utf8(text);
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; };
  std::replace_if(shown.begin(), shown.end(), is_control, ' ');
  return shown;
}

std::string make_body(const Prompt& prompt, const GenerateOptions& options,
                      const std::string& model, bool stream) {
  base::Json body = base::Json::object();
  body["model"] = model;
  const auto* messages = prompt.messages();
  if (messages != nullptr) {
    body["messages"] = base::messages_to_json(*messages);
  } else if (const std::vector<std::int32_t>* ids = prompt.token_ids()) {
    if (ids->empty()) base::fail_at(ErrorCode::kInvalidArgument, "prompt", "has no tokens");
    body["prompt"] = base::Json::array();
    for (const std::int32_t id : *ids) body["prompt"].push_back(id);
  } else {
    body["prompt"] = *prompt.text();
  }
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
    base::fail(ErrorCode::kIo, kWhere, ": not an object (got ", answer.type_name(), ")");
  if (const base::Json* id = answer.find("id"); id != nullptr && id->is_string())
    output.request_id = *id->if_string();
  for (CompletionChunk& chunk : output.outputs) {
    chunk.delta.clear();
    chunk.n_delta_tokens = 0;
    if (kind != OutputKind::kDelta) continue;
    chunk.text.clear();
    chunk.token_ids.clear();
    chunk.logprobs.reset();
  }
  const base::Json* choices = answer.find("choices");
  if (choices == nullptr || !choices->is_array())
    base::fail(ErrorCode::kIo, kWhere, ": has no choices");
  for (const base::Json& choice : *choices->if_array()) merge_choice(output, choice);
  if (const base::Json* ids = answer.find("prompt_token_ids"); ids != nullptr && ids->is_array()) {
    output.prompt_token_ids.emplace();
    merge_ids(*output.prompt_token_ids, ids);
  }
  const base::Json* usage = answer.find("usage");
  const base::Json* details = usage == nullptr ? nullptr : usage->find("prompt_tokens_details");
  const base::Json* cached = details == nullptr ? nullptr : details->find("cached_tokens");
  if (cached != nullptr && cached->is_int()) output.n_cached_tokens = *cached->if_int();
  output.finished =
      std::all_of(output.outputs.begin(), output.outputs.end(),
                  [](const CompletionChunk& chunk) { return chunk.finish_reason.has_value(); });
}

}  // namespace

void merge_answer(GenerationOutput& output, const base::Json& answer, OutputKind kind) {
  try {
    merge_any(output, answer, kind);
  } catch (const Error& error) {
    // A wrong type is the server's fault, not the caller's.
    throw Error(ErrorCode::kIo, error.what());
  }
}

base::Json parse_answer(std::string_view text) {
  base::Json json;
  try {
    json = base::Json::parse(text, kWhere);
  } catch (const Error&) {
    base::fail(ErrorCode::kIo, kWhere, ": not JSON (got ",
               text.empty() ? "nothing" : beginning(text), ")");
  }
  if (const base::Json* error = json.find("error"); error != nullptr && !error->is_null())
    throw make_error(kNoStatus, text);
  return json;
}

Error make_error(int status, std::string_view body) {
  try {
    const base::Json json = base::Json::parse(body, "error body");
    const base::Json* error = json.find("error");
    const base::Json& details = error == nullptr ? json : *error;
    if (const std::string* message = error_message(json)) {
      const Meaning meaning = meaning_of(status, details);
      const std::string* param = text_member(details, "param");
      return {meaning.code, printable(*message), param == nullptr ? "" : printable(*param),
              meaning.reason};
    }
  } catch (const Error&) {
    // not JSON: shown as it is below
  }
  return {code_of(status),
          base::cat("server: ", status == kNoStatus ? "error" : base::cat("HTTP status ", status),
                    body.empty() ? "" : ": ", beginning(body))};
}

}  // namespace openllm::client

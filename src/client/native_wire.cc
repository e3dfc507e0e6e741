#include "client/native_wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/message_json.h"
#include "client/output_parts.h"
#include "client/server_error.h"
#include "fields/access.h"
#include "fields/body.h"

namespace openllm::client {
namespace {

/// Null counts as absent.
const base::Json* member(const base::Json& object, std::string_view name) {
  const base::Json* value = object.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::int32_t token_of(std::string_view name) {
  std::int32_t id = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || end != name.data() + name.size() || id < 0)
    base::fail(ErrorCode::kIo, kAnswer, ": bad logprobs (expected token ids as names, got ",
               printable(name), ")");
  return id;
}

/// {"12": -0.5, ...}, the chosen token first; null where there are none.
TokenLogprobs logprobs_at(const base::Json& json) {
  TokenLogprobs list;
  if (json.is_null()) return list;
  for (const auto& [name, value] : json.as_object(kAnswer))
    list.push_back({token_of(name), static_cast<float>(value.as_double(kAnswer))});
  return list;
}

void append_logprobs(std::optional<std::vector<TokenLogprobs>>& to, const base::Json* lists) {
  if (lists == nullptr) return;
  if (!to) to.emplace();
  for (const base::Json& list : lists->as_array(kAnswer)) to->push_back(logprobs_at(list));
}

FinishReason reason_named(const std::string& name) {
  using enum FinishReason;
  constexpr std::array kReasons{kStop, kLength, kCancelled, kDeadline, kError};
  const auto* found = std::find_if(kReasons.begin(), kReasons.end(),
                                   [&](FinishReason reason) { return name == to_string(reason); });
  if (found == kReasons.end())
    base::fail(ErrorCode::kIo, kAnswer, ": unknown finish_reason (got ", printable(name), ")");
  return *found;
}

void merge_choice(GenerationOutput& output, const base::Json& json) {
  if (!json.is_object())
    base::fail(ErrorCode::kIo, kAnswer, ": a choice is no object (got ", json.type_name(), ")");
  CompletionChunk& chunk = choice_at(output, json.find("index"));
  if (const base::Json* text = member(json, "text")) add_text(chunk, text->as_string(kAnswer));
  add_tokens(chunk, json.find("token_ids"));
  append_logprobs(chunk.logprobs, member(json, "logprobs"));
  if (const base::Json* sum = member(json, "cumulative_logprob"))
    chunk.cumulative_logprob = sum->as_double(kAnswer);
  if (const base::Json* reason = member(json, "finish_reason"))
    chunk.finish_reason = reason_named(reason->as_string(kAnswer));
}

/// What stands beside the choices. Times are the client's own, but for what only the server knows.
void merge_rest(GenerationOutput& output, const base::Json& answer) {
  const base::Json* prompt = member(answer, "prompt");
  if (prompt != nullptr && !prompt->as_string(kAnswer).empty())
    output.prompt = *prompt->if_string();
  set_prompt_ids(output, answer.find("prompt_token_ids"));
  if (const base::Json* lists = member(answer, "prompt_logprobs")) {
    output.prompt_logprobs.reset();
    append_logprobs(output.prompt_logprobs, lists);
  }
  if (const base::Json* id = member(answer, "request_id"))
    output.request_id = id->as_string(kAnswer);
  count_new_tokens(output);
  const base::Json* usage = answer.find("usage");
  read_count(usage, "n_prompt_tokens", output.usage.n_prompt_tokens);
  read_count(usage, "n_completion_tokens", output.usage.n_completion_tokens);
  read_count(usage, "n_cached_tokens", output.usage.n_cached_tokens);
  output.n_cached_tokens = output.usage.n_cached_tokens;
  const base::Json* timing = member(answer, "timing");
  const base::Json* queued = timing == nullptr ? nullptr : member(*timing, "queued_s");
  if (queued != nullptr && queued->is_number()) output.timing.queued_s = queued->as_double(kAnswer);
}

void require_success(const GenerationOutput& output, const base::Json& answer) {
  const bool has_failed = std::any_of(
      output.outputs.begin(), output.outputs.end(),
      [](const CompletionChunk& chunk) { return chunk.finish_reason == FinishReason::kError; });
  if (!has_failed) return;
  const base::Json* error = answer.find("error");
  const std::string* text = error == nullptr ? nullptr : error->if_string();
  base::fail(ErrorCode::kInternal, "server: ", text == nullptr ? "error" : printable(*text));
}

void merge_any(GenerationOutput& output, const base::Json& answer, OutputKind kind) {
  const base::Json* choices = member(answer, "outputs");
  const base::Json* finished = member(answer, "finished");
  if (choices == nullptr || finished == nullptr)
    base::fail(ErrorCode::kIo, kAnswer, ": is no GenerationOutput (expected outputs and finished)");
  begin_part(output, kind);
  for (const base::Json& choice : choices->as_array(kAnswer)) merge_choice(output, choice);
  merge_rest(output, answer);
  output.finished = finished->as_bool(kAnswer);
  require_success(output, answer);
}

}  // namespace

std::string make_native_body(const Prompt& prompt, const LLMConfig& patch,
                             const GenerateOptions& options, const std::string& model) {
  base::Json body = base::Json::object();
  if (!model.empty()) body["model"] = model;
  if (const auto* messages = prompt.messages()) {
    body["messages"] = base::messages_to_json(*messages);
  } else if (const std::vector<std::int32_t>* ids = prompt.token_ids()) {
    body["prompt_token_ids"] = prompt_ids_json(*ids);
  } else {
    body["prompt"] = *prompt.text();
  }
  if (prompt.messages() == nullptr) fields::check_without_messages(options);
  fields::write_native_body(patch, options, body);
  return body.dump();
}

void merge_native(GenerationOutput& output, const base::Json& answer, OutputKind kind) {
  read_answer([&] { merge_any(output, answer, kind); });
}

}  // namespace openllm::client

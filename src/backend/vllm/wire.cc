#include "backend/vllm/wire.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "backend/continuation.h"
#include "base/error.h"
#include "base/json.h"
#include "fields/body.h"
#include "net/server_error.h"

namespace openllm::backend::vllm {
namespace {

using net::kAnswer;

template <typename... Parts>
[[noreturn]] void fail_answer(const Parts&... parts) {
  base::fail(ErrorCode::kIo, kAnswer, ": ", parts...);
}

/// The request's sampling as options again, so that the table of fields gives their names. All of
/// it, as a server has defaults of its own.
GenerateOptions options_of(const engine::Request& request, const CallPart& part) {
  const LeftTokens left = left_after(request, part.generated.size());
  const sampling::SamplingParams& sampling = request.sampling;
  const bool is_greedy = sampling::is_greedy(sampling);
  GenerateOptions options;
  options.max_new_tokens = std::max(1, left.max);
  options.min_new_tokens = left.min;
  options.temperature = is_greedy ? 0.0F : sampling.temperature;
  options.top_k = sampling.top_k;
  options.top_p = is_greedy ? 1.0F : sampling.top_p;
  options.min_p = sampling.min_p;
  options.repetition_penalty = sampling.repetition_penalty;
  options.presence_penalty = sampling.presence_penalty;
  options.frequency_penalty = sampling.frequency_penalty;
  for (const auto& [token, bias] : sampling.logit_bias) options.logit_bias[token] = bias;
  if (!is_greedy) options.seed = sampling.seed;
  options.n = part.n_choices;
  options.bad_words = request.bad_words;
  options.allowed_token_ids = request.allowed_token_ids;
  // The model's end tokens are among those of the request, if they are to end it.
  options.stop_token_ids = request.stop_token_ids;
  options.ignore_eos = true;
  options.logprobs = std::max(0, request.n_logprobs);
  options.skip_special_tokens = false;
  options.priority = request.priority;
  options.cache_salt = request.cache_salt;
  return options;
}

base::Json ids_json(std::span<const std::int32_t> first, std::span<const std::int32_t> second) {
  base::JsonArray ids;
  ids.reserve(first.size() + second.size());
  for (const std::int32_t id : first) ids.emplace_back(id);
  for (const std::int32_t id : second) ids.emplace_back(id);
  return ids;
}

base::Json make_body(const engine::Request& request, const Named& named, const CallPart& part) {
  base::Json body = base::Json::object();
  body["model"] = named.model;
  if (!named.adapter_name.empty()) body["adapter_name"] = named.adapter_name;
  // A server gives a source to its encoder, and begins the answer itself.
  const bool has_source = !request.source_ids.empty();
  body["prompt"] = ids_json(has_source ? request.source_ids : request.prompt_ids, part.generated);
  body["return_token_ids"] = true;
  body["return_tokens_as_token_ids"] = true;
  return body;
}

/// The id in "token_id:7".
std::int32_t id_of(std::string_view name) {
  constexpr std::string_view kPrefix = "token_id:";
  std::int32_t id = -1;
  if (name.starts_with(kPrefix)) {
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, id);
    if (error == std::errc() && stop == end && id >= 0) return id;
  }
  fail_answer("bad token in logprobs (expected token_id:N, got ", net::printable(name), ")");
}

float logprob_of(const base::Json& json) { return static_cast<float>(json.as_double(kAnswer)); }

/// The most likely first; of equals the lower id. `n_top` at most: the chosen token comes beside
/// them.
std::vector<TokenLogprob> sorted(std::vector<TokenLogprob> list, int n_top) {
  std::sort(list.begin(), list.end(), [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token_id < b.token_id;
  });
  if (list.size() > static_cast<std::size_t>(n_top)) list.resize(static_cast<std::size_t>(n_top));
  return list;
}

const base::Json* present(const base::Json& json, std::string_view name) {
  const base::Json* member = json.find(name);
  return member == nullptr || member->is_null() ? nullptr : member;
}

const base::JsonArray& require_array(const base::Json& json, std::string_view name) {
  const base::Json* member = present(json, name);
  if (member == nullptr) fail_answer("has no ", name);
  return member->as_array(kAnswer);
}

std::vector<engine::TokenEvent> scored_tokens(const base::Json& logprobs, int n_top) {
  const base::JsonArray& tokens = require_array(logprobs, "tokens");
  const base::JsonArray& values = require_array(logprobs, "token_logprobs");
  const base::Json* tops = present(logprobs, "top_logprobs");
  const base::JsonArray* top_list = tops == nullptr ? nullptr : &tops->as_array(kAnswer);
  if (top_list != nullptr && top_list->empty()) top_list = nullptr;  // none were asked for
  if (tokens.size() != values.size() || (top_list != nullptr && top_list->size() != tokens.size()))
    fail_answer("lists of logprobs have different lengths");
  std::vector<engine::TokenEvent> events;
  events.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    engine::TokenEvent event{id_of(tokens[i].as_string(kAnswer)), logprob_of(values[i])};
    if (top_list != nullptr && !(*top_list)[i].is_null()) {
      std::vector<TokenLogprob> top;
      for (const auto& [name, value] : (*top_list)[i].as_object(kAnswer))
        top.push_back({id_of(name), logprob_of(value)});
      event.top = sorted(std::move(top), n_top);
    }
    events.push_back(std::move(event));
  }
  return events;
}

std::optional<FinishReason> finish_reason(const base::Json& choice) {
  const base::Json* reason = present(choice, "finish_reason");
  if (reason == nullptr) return std::nullopt;
  const std::string& name = reason->as_string(kAnswer);
  if (name == "stop") return FinishReason::kStop;
  if (name == "length") return FinishReason::kLength;
  if (name == "abort")
    base::fail(ErrorCode::kUnavailable, kAnswer, ": the server gave the request up");
  fail_answer("ended for an unknown reason (got ", net::printable(name), ")");
}

ChoicePiece read_choice(const base::Json& json, int n_choices, int n_top) {
  ChoicePiece piece;
  const base::Json* index = json.find("index");
  const std::int64_t number = index == nullptr ? 0 : index->as_int(kAnswer);
  if (number < 0 || number >= n_choices)
    fail_answer("no such choice (expected 0 to ", n_choices - 1, ", got ", number, ")");
  piece.index = static_cast<int>(number);
  piece.finish_reason = finish_reason(json);
  const base::Json* ids = present(json, "token_ids");
  if (ids == nullptr) {
    if (piece.finish_reason) return piece;  // an end alone
    fail_answer("has no token_ids (expected a server that knows return_token_ids, as vLLM does)");
  }
  for (const base::Json& id : ids->as_array(kAnswer)) {
    const std::int64_t value = id.as_int(kAnswer);
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max())
      fail_answer("no token id (got ", value, ")");
    piece.ids.push_back(static_cast<std::int32_t>(value));
  }
  const base::Json* logprobs = present(json, "logprobs");
  if (logprobs != nullptr) piece.scored = scored_tokens(*logprobs, n_top);
  return piece;
}

Piece read_any(const base::Json& answer, int n_choices, int n_top) {
  Piece piece;
  for (const base::Json& choice : require_array(answer, "choices"))
    piece.choices.push_back(read_choice(choice, n_choices, n_top));
  const base::Json* usage = present(answer, "usage");
  if (usage == nullptr) return piece;
  const base::Json* n_tokens = present(*usage, "completion_tokens");
  if (n_tokens != nullptr) piece.n_completion_tokens = n_tokens->as_int(kAnswer);
  const base::Json* details = present(*usage, "prompt_tokens_details");
  const base::Json* n_cached = details == nullptr ? nullptr : present(*details, "cached_tokens");
  if (n_cached != nullptr) {
    piece.n_cached_tokens = static_cast<int>(
        std::clamp<std::int64_t>(n_cached->as_int(kAnswer), 0, std::numeric_limits<int>::max()));
  }
  return piece;
}

/// One position: {"7": {"logprob": -1.5}, ...}, the token that stands there among them.
engine::TokenEvent read_position(const base::Json& json, std::int32_t token, int n_top) {
  engine::TokenEvent event{token};
  bool is_there = false;
  std::vector<TokenLogprob> top;
  for (const auto& [name, entry] : json.as_object(kAnswer)) {
    const base::Json* logprob = present(entry, "logprob");
    if (logprob == nullptr) fail_answer("has no logprob in prompt_logprobs");
    top.push_back({id_of("token_id:" + name), logprob_of(*logprob)});
    if (top.back().token_id != token) continue;
    event.logprob = top.back().logprob;
    is_there = true;
  }
  if (!is_there) fail_answer("prompt_logprobs lack token ", token);
  event.top = sorted(std::move(top), n_top);
  return event;
}

std::vector<engine::TokenEvent> read_prompt(const base::Json& answer,
                                            std::span<const std::int32_t> prompt_ids, int n_top) {
  const base::JsonArray& choices = require_array(answer, "choices");
  if (choices.empty()) fail_answer("has no choices");
  const base::JsonArray& list = require_array(choices.front(), "prompt_logprobs");
  if (list.size() != prompt_ids.size()) {
    fail_answer("prompt_logprobs of another prompt (expected ", prompt_ids.size(),
                " positions, got ", list.size(), ")");
  }
  std::vector<engine::TokenEvent> events;
  for (std::size_t i = 1; i < list.size(); ++i)
    events.push_back(read_position(list[i], prompt_ids[i], n_top));
  return events;
}

}  // namespace

std::string stream_body(const engine::Request& request, const Named& named, const CallPart& part) {
  base::Json body = make_body(request, named, part);
  fields::write_body(options_of(request, part), fields::kCompletions, body);
  body["stream"] = true;
  body["stream_options"]["include_usage"] = true;
  return body.dump();
}

std::string prompt_logprobs_body(const engine::Request& request, const Named& named) {
  base::Json body = make_body(request, named, {});
  GenerateOptions options;
  options.max_new_tokens = 1;
  options.temperature = 0.0F;
  options.ignore_eos = true;
  options.prompt_logprobs = request.n_prompt_logprobs;
  options.priority = request.priority;
  options.cache_salt = request.cache_salt;
  fields::write_body(options, fields::kCompletions, body);
  return body.dump();
}

Piece read_piece(std::string_view json, int n_choices, int n_top) {
  const base::Json answer = net::parse_answer(json);  // throws the server's own errors as they are
  Piece piece;
  net::read_answer([&] { piece = read_any(answer, n_choices, n_top); });
  return piece;
}

std::vector<engine::TokenEvent> read_prompt_logprobs(std::string_view json,
                                                     std::span<const std::int32_t> prompt_ids,
                                                     int n_top) {
  const base::Json answer = net::parse_answer(json);
  std::vector<engine::TokenEvent> events;
  net::read_answer([&] { events = read_prompt(answer, prompt_ids, n_top); });
  return events;
}

}  // namespace openllm::backend::vllm

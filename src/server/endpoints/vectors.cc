// Routes that ask a model for vectors and scores: /v1/embeddings as OpenAI has it, /v1/score as
// vLLM, /v1/rerank as Jina and Cohere.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json_writer.h"
#include "base/random_id.h"
#include "server/api/vector_requests.h"
#include "server/caller.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/visit.h"

namespace openllm::server {
namespace {

std::string to_base64(std::span<const float> numbers) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static_assert(std::endian::native == std::endian::little, "the bytes go out as they lie");
  const auto bytes = std::as_bytes(numbers);
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8U | (k < n ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
  }
  return text;
}

/// Refuses more inputs than an idle engine takes at once: waiting would not help.
void check_can_ever_fit(const LLM& llm, const char* where, std::int64_t n) {
  const EngineStats stats = llm.stats();
  if (stats.max_open() == 0 || n <= stats.max_of_request()) return;
  base::fail_at(ErrorCode::kInvalidArgument, where,
                "more than the server takes at once (expected at most ", stats.max_of_request(),
                ", got ", n, ")");
}

/// What a request is about, for `ask`.
struct Subject {
  const ModelEntry& model;
  EmbedOptions& options;
  const char* where;   // the member that has the texts
  std::int64_t n = 0;  // requests to the engine
};

/// Runs what `start` starts, past the model's admission.
template <typename Output>
Task<Output> ask(Call& call, Subject subject, const std::function<Task<Output>()>& start) {
  const LLM& llm = subject.model.llm();
  subject.model.require_loadable();
  Visit visit(call, subject.model);
  call.exchange.drop_body();
  try {
    check_can_ever_fit(llm, subject.where, subject.n);
    if (!has_room(llm.stats(), subject.n))
      base::fail(ErrorCode::kBusy, "server: the queue is full");
    EmbedOptions& options = subject.options;
    options.max_wait = visit.allowed_wait();
    options.timeout = bounded_time(options.timeout, call.app.options().request_timeout_s);
    if (options.timeout)
      options.max_wait = std::min(options.max_wait.value_or(*options.timeout), *options.timeout);
    options.tenant = visit.tenant();
    if (subject.n > 1) options.group = base::random_id("batch-");
    options.executor = call.app.executor;
    options.stop_token = call.exchange.stop_token();
    Task<Output> running = start();
    Output output = co_await std::move(running);
    visit.taken();
    co_return output;
  } catch (const Error& error) {
    if (!llm.is_loaded()) throw ModelEntry::load_failure(error.what());
    if (error.code() != ErrorCode::kBusy) throw;
    check_can_ever_fit(llm, subject.where, subject.n);  // if it was not loaded before
    ++call.app.metrics.refused[lacking(llm, subject.n, error)];
    throw visit.refused(error);
  }
}

/// Members of every answer.
void begin_answer(base::JsonWriter& json, std::string_view prefix, const std::string& given_id,
                  const std::string& model) {
  json.begin_object();
  json.member("id", given_id.empty() ? base::random_id(prefix) : base::cat(prefix, given_id));
  json.member("object", "list");
  json.member("created", static_cast<std::int64_t>(std::time(nullptr)));
  json.member("model", model);
}

void end_answer(base::JsonWriter& json, std::int64_t n_tokens) {
  json.key("usage").begin_object();
  json.member("prompt_tokens", n_tokens).member("total_tokens", n_tokens);
  json.end_object();
  json.end_object();
}

void respond(Call& call, std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  call.exchange.respond(std::move(response));
}

void check_caller(Call& call, const VectorRequest& request) {
  GenerateOptions options;
  options.priority = request.options.priority;
  set_caller(call, options);
  call.app.ignored_names.tell(request.ignored, call.app.options(), call.exchange);
}

std::string answer_of(const EmbeddingRequest& request, const EmbedOutput& output,
                      const std::string& model) {
  std::string body;
  base::JsonWriter json(body);
  begin_answer(json, "embd-", request.options.request_id, model);
  json.key("data").begin_array();
  for (std::size_t i = 0; i < output.embeddings.size(); ++i) {
    json.begin_object();
    json.member("object", "embedding").member("index", static_cast<std::int64_t>(i));
    json.key("embedding");
    const std::vector<float>& values = output.embeddings[i].values;
    if (request.base64) {
      json.value(to_base64(values));
    } else {
      json.begin_array();
      for (const float value : values) json.value(value);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  end_answer(json, output.n_tokens);
  return body;
}

/// One query for all documents, or one for each: then each pair is asked for by itself, all at
/// once.
Task<ScoreOutput> score_all(const LLM& llm, const ScoreRequest& request) {
  std::vector<Task<ScoreOutput>> running;
  if (request.queries.size() == 1) {
    running.push_back(llm.async_score(request.queries.front(), request.documents, request.options));
  } else {
    for (std::size_t i = 0; i < request.queries.size(); ++i) {
      std::vector<std::string> document = {request.documents[i]};
      running.push_back(llm.async_score(request.queries[i], std::move(document), request.options));
    }
  }
  ScoreOutput all;
  for (Task<ScoreOutput>& task : running) {
    const ScoreOutput part = co_await task;
    all.scores.insert(all.scores.end(), part.scores.begin(), part.scores.end());
    all.n_tokens += part.n_tokens;
  }
  co_return all;
}

}  // namespace

Task<void> embeddings(Call& call) {
  Task<EmbeddingRequest> parsing = read_request(call, parse_embedding_request);
  EmbeddingRequest request = co_await std::move(parsing);
  check_caller(call, request);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  const LLM& llm = model.entry->llm();
  const auto n = static_cast<std::int64_t>(request.inputs.size());
  const std::function<Task<EmbedOutput>()> start = [&] {
    return llm.async_embed(std::move(request.inputs), request.options);
  };
  Task<EmbedOutput> asking = ask(call, {*model.entry, request.options, "input", n}, start);
  const EmbedOutput output = co_await std::move(asking);
  respond(call, answer_of(request, output, model.name));
}

Task<void> score(Call& call) {
  Task<ScoreRequest> parsing = read_request(call, parse_score_request);
  ScoreRequest request = co_await std::move(parsing);
  check_caller(call, request);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  const LLM& llm = model.entry->llm();
  const auto n = static_cast<std::int64_t>(request.queries.size() + request.documents.size());
  const std::function<Task<ScoreOutput>()> start = [&] { return score_all(llm, request); };
  Task<ScoreOutput> asking = ask(call, {*model.entry, request.options, "text_2", n}, start);
  const ScoreOutput output = co_await std::move(asking);
  std::string body;
  base::JsonWriter json(body);
  begin_answer(json, "score-", request.options.request_id, model.name);
  json.key("data").begin_array();
  for (std::size_t i = 0; i < output.scores.size(); ++i) {
    json.begin_object();
    json.member("index", static_cast<std::int64_t>(i)).member("object", "score");
    json.member("score", output.scores[i]);
    json.end_object();
  }
  json.end_array();
  end_answer(json, output.n_tokens);
  respond(call, std::move(body));
}

Task<void> rerank(Call& call) {
  Task<RerankRequest> parsing = read_request(call, parse_rerank_request);
  RerankRequest request = co_await std::move(parsing);
  check_caller(call, request);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  const LLM& llm = model.entry->llm();
  const auto n = static_cast<std::int64_t>(request.documents.size() + 1);
  const std::function<Task<RerankOutput>()> start = [&] {
    return llm.async_rerank(request.query, request.documents, request.top_n, request.options);
  };
  Task<RerankOutput> asking = ask(call, {*model.entry, request.options, "documents", n}, start);
  const RerankOutput output = co_await std::move(asking);
  std::string body;
  base::JsonWriter json(body);
  begin_answer(json, "rerank-", request.options.request_id, model.name);
  json.key("results").begin_array();
  for (const RankedDocument& result : output.results) {
    json.begin_object();
    json.member("index", result.index).member("relevance_score", result.score);
    if (request.return_documents) {
      json.key("document").begin_object();
      json.member("text", request.documents[static_cast<std::size_t>(result.index)]);
      json.end_object();
    }
    json.end_object();
  }
  json.end_array();
  end_answer(json, output.n_tokens);
  respond(call, std::move(body));
}

}  // namespace openllm::server

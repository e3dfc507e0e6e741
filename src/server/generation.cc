#include "server/generation.h"

#include <chrono>
#include <memory>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Endings that are not answers.
void check_output(const GenerationOutput& output, const Exchange& exchange) {
  for (const CompletionChunk& chunk : output.outputs) {
    if (!chunk.finish_reason) continue;
    if (*chunk.finish_reason == FinishReason::kCancelled) {
      const bool stopping = exchange.cancelled() == Exchange::Cancel::kShutdown;
      base::fail(ErrorCode::kUnavailable,
                 stopping ? "server: is shutting down" : "request: was cancelled");
    }
    if (*chunk.finish_reason == FinishReason::kDeadline)
      base::fail(ErrorCode::kDeadline, "request: deadline passed");
    if (*chunk.finish_reason == FinishReason::kError)
      base::fail(ErrorCode::kInternal, output.error);
  }
}

/// More choices than an idle engine holds at once: waiting, as kBusy advises, would not help.
void check_can_ever_fit(const App& app, std::size_t n_prompts, int n_choices) {
  const EngineStats stats = app.llm().stats();
  const std::int64_t most = stats.max_running + stats.max_waiting;
  const std::int64_t n = static_cast<std::int64_t>(n_prompts) * n_choices;
  if (n <= most) return;
  base::fail_at(ErrorCode::kInvalidArgument, "prompt",
                "more choices than the server holds at once (expected at most ", most, ", got ",
                n_prompts, " prompts with ", n_choices, " each)");
}

struct Run {
  App& app;
  Exchange& exchange;
  const OnOutput& on_output;
  std::vector<AsyncGenerationStream>& streams;
  Join& join;
  Clock::time_point start;
};

/// Follows one stream to its end.
Flow follow(Run& run, std::size_t index) {
  std::exception_ptr failure;
  try {
    bool is_first = true;
    while (!run.join.failed()) {
      const GenerationOutput* output = co_await run.streams[index].next();
      if (output == nullptr || run.join.failed()) break;
      check_output(*output, run.exchange);
      if (is_first) run.app.metrics.first_token.add(seconds_since(run.start));
      run.on_output(index, *output, is_first);
      is_first = false;
      co_await run.exchange.drained();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    for (AsyncGenerationStream& stream : run.streams) stream.cancel();
  }
  run.join.done(failure);
}

}  // namespace

Task<Nothing> run_generation(App& app, Exchange& exchange, const std::vector<Prompt>& prompts,
                             const GenerateOptions& options, const OnOutput& on_output) {
  app.require_loadable();
  GenerateOptions each = options;
  each.executor = app.executor;
  each.stop_token = exchange.stop_token();
  std::vector<AsyncGenerationStream> streams;
  streams.reserve(prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    each.request_id = random_id("server-");  // unique; the client's own id need not be
    streams.push_back(app.llm().async_generate_iterator(prompts[i], each));
  }
  Join join(prompts.size());
  Run run{app, exchange, on_output, streams, join, Clock::now()};
  try {
    // An answer that begins with status 200 must not be found to be a wrong request later.
    for (AsyncGenerationStream& stream : streams) co_await stream.accepted();
    if (options.output_kind == OutputKind::kDelta) exchange.expect_events();
    for (std::size_t i = 0; i < prompts.size(); ++i) follow(run, i);
    co_await join;
  } catch (const Error& error) {
    // Requests wait for the model, so that the first thing that can fail is loading it.
    if (!app.llm().is_loaded()) throw App::load_failure(error.what());
    if (error.code() == ErrorCode::kBusy) check_can_ever_fit(app, prompts.size(), options.n);
    throw;
  }
  app.metrics.duration.add(seconds_since(run.start));
  co_return Nothing{};
}

void UsageCounter::add(const GenerationOutput& output, bool is_first) {
  if (is_first && output.prompt_token_ids) {
    usage_.n_prompt += static_cast<std::int64_t>(output.prompt_token_ids->size());
  }
  for (const CompletionChunk& chunk : output.outputs) {
    usage_.n_completion += static_cast<std::int64_t>(chunk.n_delta_tokens);
  }
  if (output.finished) usage_.n_cached += output.n_cached_tokens;
}

LogprobWriter make_logprob_writer(const LLM& llm, const CommonRequest& request) {
  LogprobWriter::Vocabulary vocabulary;
  vocabulary.bytes = [&llm](std::int32_t id) { return llm.token_text(id); };
  vocabulary.is_special = [&llm](std::int32_t id) {
    return llm.detokenize({id}, true).empty() && !llm.detokenize({id}, false).empty();
  };
  vocabulary.hides_special = request.options.skip_special_tokens;
  return {std::move(vocabulary), request.return_tokens_as_token_ids,
          request.options.logprobs.value_or(0)};
}

void send_error(Exchange& exchange, const std::exception& error) {
  HttpResponse response = error_response(error);
  if (exchange.has_begun()) {
    exchange.send_event(response.body);
  } else {
    exchange.respond(std::move(response));
  }
}

}  // namespace openllm::server

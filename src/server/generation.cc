#include "server/generation.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "server/http/detached_task.h"

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

/// Token counts over all outputs of a job, streamed or not.
void count_tokens(Usage& usage, const GenerationOutput& output, bool is_first) {
  if (is_first && output.prompt_token_ids)
    usage.n_prompt += static_cast<std::int64_t>(output.prompt_token_ids->size());
  for (const CompletionChunk& chunk : output.outputs)
    usage.n_completion += static_cast<std::int64_t>(chunk.n_delta_tokens);
  if (output.finished) usage.n_cached += output.n_cached_tokens;
}

/// Refuses more choices than an idle engine holds at once: waiting, as kBusy advises, would not
/// help.
void check_can_ever_fit(const GenerationJob& job) {
  const EngineStats stats = job.model.llm().stats();
  const std::int64_t most = stats.max_running + stats.max_waiting;
  const std::size_t n_prompts = job.prompts.size();
  const std::int64_t n = static_cast<std::int64_t>(n_prompts) * job.options.n;
  if (n <= most) return;
  base::fail_at(ErrorCode::kInvalidArgument, "prompt",
                "more choices than the server holds at once (expected at most ", most, ", got ",
                n_prompts, " prompts with ", job.options.n, " each)");
}

/// Messages for a model without a chat template get a code of its own: clients may continue the
/// text instead.
void check_can_chat(const GenerationJob& job, const Error& error) {
  const bool has_messages = std::any_of(job.prompts.begin(), job.prompts.end(),
                                        [](const Prompt& p) { return p.messages() != nullptr; });
  if (!has_messages || error.code() != ErrorCode::kUnsupported ||
      job.model.llm().info().has_chat_template) {
    return;
  }
  throw Error(ErrorCode::kUnsupported, error.what(), "messages", ErrorReason::kTemplateMissing);
}

/// Throws a better error than the one that ended the job, if there is one.
void explain(const GenerationJob& job, const Error& error) {
  // Requests wait for the model, so that the first thing that can fail is loading it.
  if (!job.model.llm().is_loaded()) throw ModelEntry::load_failure(error.what());
  if (error.code() == ErrorCode::kBusy) check_can_ever_fit(job);
  check_can_chat(job, error);
}

/// The engine's requests of one job.
struct Run {
  Call& call;
  AnswerWriter& writer;
  std::vector<AsyncGenerationStream> streams{};
  Usage usage{};
  Clock::time_point start = Clock::now();
};

/// Follows one stream to its end.
DetachedTask follow(Run& run, Join& join, std::size_t index) {
  std::exception_ptr failure;
  try {
    bool is_first = true;
    while (!join.failed()) {
      const GenerationOutput* output = co_await run.streams[index].next();
      if (output == nullptr || join.failed()) break;
      check_output(*output, run.call.exchange);
      if (is_first) run.call.app.metrics.first_token.add(seconds_since(run.start));
      count_tokens(run.usage, *output, is_first);
      run.writer.on_output(index, *output, is_first);
      is_first = false;
      co_await run.call.exchange.drained();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    for (AsyncGenerationStream& stream : run.streams) stream.cancel();
  }
  join.done(failure);
}

void submit(Run& run, const GenerationJob& job) {
  GenerateOptions options = job.options;
  options.output_kind = job.stream ? OutputKind::kDelta : OutputKind::kFinalOnly;
  options.executor = run.call.app.executor;
  options.stop_token = run.call.exchange.stop_token();
  run.streams.reserve(job.prompts.size());
  for (const Prompt& prompt : job.prompts)
    run.streams.push_back(job.model.llm().async_generate_iterator(prompt, options));
}

}  // namespace

Task<void> serve_generation(Call& call, GenerationJob job, AnswerWriter& writer) {
  job.model.require_loadable();
  Run run{call, writer};
  submit(run, job);
  Join join(job.prompts.size());
  try {
    // An answer that begins with status 200 must not be found to be a wrong request later.
    for (AsyncGenerationStream& stream : run.streams) co_await stream.accepted();
    if (job.stream) call.exchange.expect_events();
    writer.begin();
    for (std::size_t i = 0; i < job.prompts.size(); ++i) follow(run, join, i);
    co_await join;
  } catch (const Error& error) {
    explain(job, error);
    throw;
  }
  call.app.metrics.duration.add(seconds_since(run.start));
  writer.finish(run.usage);
  if (job.stream) send_stream_end(call.exchange, call.dialect);
}

}  // namespace openllm::server

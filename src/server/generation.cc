#include "server/generation.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/random_id.h"
#include "server/caller.h"
#include "server/http/detached_task.h"
#include "server/visit.h"

namespace openllm::server {
namespace {

using Clock = std::chrono::steady_clock;

/// Token counts over all outputs of a job, streamed or not.
void count_tokens(Usage& usage, const GenerationOutput& output, bool is_first) {
  if (is_first && output.prompt_token_ids)
    usage.n_prompt += static_cast<std::int64_t>(output.prompt_token_ids->size());
  if (is_first && output.finished) {  // all at once: choices that best_of left out count too
    usage.n_completion += output.usage.n_completion_tokens;
  } else {
    for (const CompletionChunk& chunk : output.outputs)
      usage.n_completion += static_cast<std::int64_t>(chunk.n_delta_tokens);
  }
  if (output.finished) usage.n_cached += output.n_cached_tokens;
}

/// What each prompt makes, of which the best may be kept.
int choices_each(const GenerationJob& job) {
  const GenerateOptions& o = job.options;
  return std::max(o.best_of.value_or(o.n.value_or(1)), o.num_beams.value_or(1));
}

std::int64_t count_choices(const GenerationJob& job) {
  return static_cast<std::int64_t>(job.prompts.size()) * choices_each(job);
}

/// Refuses more choices than an idle engine takes at once: waiting, as kBusy advises, would not
/// help. Says nothing before the model is loaded.
void check_can_ever_fit(const GenerationJob& job) {
  const EngineStats stats = job.model.llm().stats();
  const std::size_t n_prompts = job.prompts.size();
  const std::int64_t most = stats.max_of_request();
  if (stats.max_open() == 0 || count_choices(job) <= most) return;
  base::fail_at(ErrorCode::kInvalidArgument, n_prompts > 1 ? "prompt" : "n",
                "more choices than the server takes at once (expected at most ", most, ", got ",
                n_prompts, " prompts with ", choices_each(job), " each)");
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
  if (error.code() == ErrorCode::kBusy) check_can_ever_fit(job);  // if it was not loaded before
  check_can_chat(job, error);
}

using Seconds = Admission::Seconds;

/// The engine's requests of one job.
struct Run {
  Call& call;
  AnswerWriter& writer;
  RequestTimes& times;
  std::vector<AsyncGenerationStream> streams{};
  Usage usage{};
};

/// Follows one stream to its end.
DetachedTask follow(Run& run, Join& join, std::size_t index) {
  std::exception_ptr failure;
  try {
    bool is_first = true;
    AnswerCounts counts;
    while (!join.failed()) {
      const GenerationOutput* output = co_await run.streams[index].next();
      if (output == nullptr || join.failed()) break;
      require_answer(*output, run.call.exchange);
      count_tokens(run.usage, *output, is_first);
      counts.add(*output);
      if (output->finished) run.times.add(output->timing, counts.longest());
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

void submit(Run& run, const GenerationJob& job, Visit& visit) {
  check_can_ever_fit(job);
  // The engine would find out after some of the prompts had taken places that others could have.
  if (!has_room(job.model.llm().stats(), count_choices(job)))
    base::fail(ErrorCode::kBusy, "server: the queue is full");
  GenerateOptions options = job.options;
  options.max_wait = visit.allowed_wait();
  options.timeout = bounded_time(options.timeout, run.call.app.options().request_timeout_s);
  // One whose time would pass in the queue learns it now, and when to come again.
  if (options.timeout)
    options.max_wait = std::min(options.max_wait.value_or(*options.timeout), *options.timeout);
  options.tenant = visit.tenant();
  if (job.prompts.size() > 1) options.group = base::random_id("batch-");
  options.output_kind = job.stream ? OutputKind::kDelta : OutputKind::kFinalOnly;
  options.executor = run.call.app.executor;
  options.stop_token = run.call.exchange.stop_token();
  run.streams.reserve(job.prompts.size());
  for (const Prompt& prompt : job.prompts)
    run.streams.push_back(job.model.llm().async_generate_iterator(prompt, options));
}

}  // namespace

void require_answer(const GenerationOutput& output, const Exchange& exchange) {
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

std::optional<Error> refuse_unread(App& app, const HttpRequest& head) {
  const auto& entries = app.models().entries();
  if (entries.size() != 1) return std::nullopt;  // the body says which model
  Admission& admission = entries.front()->admission();
  const std::string tenant = app.tenant_of(head);
  const EngineStats stats = entries.front()->llm().stats();
  const Seconds wait(stats.estimated_wait_s);
  const std::optional<Seconds> allowed = admission.longest_wait();
  const bool is_full = stats.max_open() > 0 && !has_room(stats, 1);
  // Who has nothing here may be served next, however long others wait.
  const bool is_late = allowed && wait > *allowed && admission.n_inside(tenant) > 0;
  if (!is_full && !is_late) return std::nullopt;
  ++app.metrics.refused[is_full ? "queue" : "wait"];
  const Error error =
      is_full ? busy_error("server: the queue is full", wait) : long_wait_error(wait, *allowed);
  const Seconds turn = admission.refused_unread(tenant, error.retry_after(), Clock::now());
  return busy_error(error.what(), turn);
}

Task<void> serve_generation(Call& call, GenerationJob job, AnswerWriter& writer) {
  job.model.require_loadable();
  Visit visit(call, job.model);
  call.exchange.drop_body();
  Run run{call, writer, call.app.metrics.times[job.model.name()]};
  Join join(job.prompts.size());
  try {
    submit(run, job, visit);
    // An answer that begins with status 200 must not be found to be a wrong request later.
    for (AsyncGenerationStream& stream : run.streams) co_await stream.accepted();
    visit.taken();
    if (job.stream) call.exchange.expect_events();
    writer.begin();
    for (std::size_t i = 0; i < job.prompts.size(); ++i) follow(run, join, i);
    co_await join;
  } catch (const Error& error) {
    explain(job, error);
    if (error.code() != ErrorCode::kBusy) throw;
    ++call.app.metrics.refused[lacking(job.model.llm(), count_choices(job), error)];
    throw visit.refused(error);
  }
  writer.finish(run.usage);
  if (job.stream) send_stream_end(call.exchange, call.dialect);
}

}  // namespace openllm::server

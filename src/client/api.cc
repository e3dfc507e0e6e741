#include "client/api.h"

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "client/answer_stream.h"
#include "client/output_parts.h"
#include "client/request.h"
#include "client/server_error.h"

namespace openllm::client {
namespace {

/// Refuses what only an engine within the program can do for it.
void refuse_local_options(const GenerateOptions& options) {
  const auto refuse = [](bool is_given, std::string_view name, std::string_view why) {
    if (!is_given) return;
    base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, name,
                    ": cannot be asked of a server (", why, ")");
  };
  refuse(!options.tenant.empty(), "tenant", "its keys tell on whose behalf a call is");
  refuse(!options.group.empty(), "group", "each call is a group of its own");
  refuse(options.max_wait.has_value(), "max_wait", "it has one of its own");
}

net::HttpCall make_call(const Api& api, const Prompt& prompt, const GenerateOptions& options,
                        bool stream) {
  refuse_local_options(options);
  Api::Question question = api.question(prompt, options, stream);
  net::HttpCall request = api.caller().make_call(question.path);
  request.body = std::move(question.body);
  request.stop_token = options.stop_token;
  if (options.timeout) {
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
  }
  return request;
}

GenerationOutput ended(GenerationOutput output, const net::HttpAnswer& answer) {
  output.finished = true;
  const FinishReason reason = answer.is_late ? FinishReason::kDeadline : FinishReason::kCancelled;
  for (CompletionChunk& chunk : output.outputs) {
    if (!chunk.finish_reason) chunk.finish_reason = reason;
  }
  return output;
}

/// The end of a stream as the task that waits for it wants it.
Task<GenerationOutput> run_to_end(AsyncGenerationStream stream) {
  std::optional<GenerationOutput> last;
  while (const GenerationOutput* output = co_await stream.next()) last = *output;
  if (!last) base::fail(ErrorCode::kInternal, "client: the request ended without an output");
  co_return std::move(*last);
}

}  // namespace

GenerationOutput generate(const Api& api, const Prompt& prompt, const GenerateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const net::HttpAnswer answer = api.caller().call(make_call(api, prompt, options, false));
  GenerationOutput output = empty_output(prompt, options);
  set_timing(output, start);  // nobody knows when the first token was there
  if (answer.was_ended) return ended(std::move(output), answer);
  api.merge(output, parse_answer(answer.body), OutputKind::kCumulative);
  require_choices(output, options.n);
  return output;
}

GenerationOutput generate_stream(const Api& api, const Prompt& prompt,
                                 const GenerateOptions& options,
                                 const std::function<bool(const GenerationOutput&)>& on_output) {
  // The best answers are known when all have ended: servers refuse to stream them.
  const bool streams = !options.best_of && options.num_beams.value_or(1) <= 1;
  net::HttpCall request = make_call(api, prompt, options, streams);
  AnswerStream stream(api, empty_output(prompt, options), options, on_output);
  request.on_body = [&](std::string_view bytes) { return stream.feed(bytes); };
  net::HttpAnswer answer;
  try {
    answer = api.caller().call(request);
  } catch (...) {
    stream.tell_end();
    throw;
  }
  // Some servers do not stream and give the whole answer at once; others are no such servers.
  if (!answer.was_ended && stream.is_empty() && !answer.body.empty())
    answer.was_ended = !stream.add(answer.body);
  stream.tell_end();
  const bool is_whole = stream.is_whole();
  GenerationOutput output = stream.take();
  if (answer.was_ended && !output.finished) {
    output = ended(std::move(output), answer);
  } else if (!is_whole) {
    base::fail(ErrorCode::kIo, kAnswer, ": ended in the middle");
  }
  if (options.output_kind == OutputKind::kFinalOnly && on_output) on_output(output);
  return output;
}

std::shared_ptr<detail::OutputSource> start(std::shared_ptr<const Api> api, Prompt prompt,
                                            const GenerateOptions& options) {
  GenerateOptions deltas = options;
  deltas.output_kind = OutputKind::kDelta;
  return std::make_shared<Request>(
      [api = std::move(api), prompt = std::move(prompt), deltas = std::move(deltas)](
          const std::stop_token& stop,
          const std::function<void(const GenerationOutput&)>& on_delta) mutable {
        deltas.stop_token = stop;
        bool has_end = false;
        const auto on_output = [&](const GenerationOutput& output) {
          has_end = output.finished;
          on_delta(output);
          return true;
        };
        GenerationOutput last = generate_stream(*api, prompt, deltas, on_output);
        if (has_end) return;
        for (CompletionChunk& chunk : last.outputs) {  // it has been told of, but of its end
          chunk.text.clear();
          chunk.token_ids.clear();
          chunk.logprobs.reset();
          chunk.n_delta_tokens = 0;
        }
        on_delta(last);
      },
      options);
}

Task<GenerationOutput> async_generate(std::shared_ptr<const Api> api, Prompt prompt,
                                      GenerateOptions options) {
  options.output_kind = OutputKind::kFinalOnly;
  return run_to_end(AsyncGenerationStream(start(std::move(api), std::move(prompt), options)));
}

}  // namespace openllm::client

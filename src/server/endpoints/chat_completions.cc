#include <ctime>
#include <functional>
#include <utility>

#include "server/apart.h"
#include "server/api/answers.h"
#include "server/api/chat_request.h"
#include "server/error_map.h"
#include "server/generation.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

void send_chunks(Exchange& exchange, const ChatAnswer& answer, const CommonRequest& request,
                 const GenerationOutput& output, bool is_first) {
  if (is_first) {
    const auto* ids = output.prompt_token_ids ? &*output.prompt_token_ids : nullptr;
    for (const CompletionChunk& chunk : output.outputs) {
      exchange.send_event(answer.role_chunk(chunk.index, ids));
    }
  }
  for (const CompletionChunk& chunk : output.outputs) {
    const bool has_tokens =
        (request.return_token_ids || chunk.logprobs) && chunk.n_delta_tokens > 0;
    if (!chunk.delta.empty() || has_tokens) exchange.send_event(answer.text_chunk(chunk));
  }
}

}  // namespace

Task<Nothing> chat_completions(App& app, Exchange& exchange) {
  ChatRequest request;
  const std::string& body = exchange.request().body;
  const std::function<void()> parse = [&] { request = parse_chat_request(body); };
  co_await Apart(app.large_bodies, app.executor, body.size(), parse);
  AnswerHead head{answer_id("chatcmpl-", request), std::time(nullptr),
                  app.require_model(request.model)};
  request.options.output_kind = request.stream ? OutputKind::kDelta : OutputKind::kFinalOnly;
  const ChatAnswer answer(std::move(head), make_logprob_writer(app.llm(), request),
                          request.include_usage, request.return_token_ids);
  std::vector<Prompt> prompts;
  prompts.emplace_back(std::move(request.messages));

  UsageCounter usage;
  std::vector<bool> is_over(static_cast<std::size_t>(request.options.n), false);
  GenerationOutput last;
  const OnOutput on_output = [&](std::size_t /*prompt*/, const GenerationOutput& output,
                                 bool is_first) {
    usage.add(output, is_first);
    if (!request.stream) {
      last = output;
      return;
    }
    send_chunks(exchange, answer, request, output, is_first);
    for (std::size_t i = 0; i < output.outputs.size(); ++i) {
      const char* reason = finish_name(output.outputs[i].finish_reason);
      if (reason == nullptr || is_over[i]) continue;
      is_over[i] = true;
      exchange.send_event(answer.finish_chunk(static_cast<int>(i), reason));
    }
  };
  Task<Nothing> run = run_generation(app, exchange, prompts, request.options, on_output);
  try {
    co_await std::move(run);
  } catch (const Error& error) {
    // A code of its own: clients may continue the text instead.
    if (error.code() != ErrorCode::kUnsupported || app.llm().info().has_chat_template) throw;
    throw Error(ErrorCode::kUnsupported, error.what(), "messages", ErrorReason::kTemplateMissing);
  }

  if (request.stream) {
    if (request.include_usage) exchange.send_event(answer.usage_chunk(usage.usage()));
    exchange.send_event("[DONE]");
  } else {
    HttpResponse response;
    response.body = answer.whole(last, usage.usage());
    exchange.respond(std::move(response));
  }
  co_return Nothing{};
}

}  // namespace openllm::server

#include <ctime>
#include <optional>
#include <utility>

#include "server/api/answers.h"
#include "server/api/chat_request.h"
#include "server/caller.h"
#include "server/fingerprint.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/text_biases.h"

namespace openllm::server {
namespace {

class ChatWriter final : public AnswerWriter {
 public:
  /// `request` must outlive the writer.
  ChatWriter(Exchange& exchange, const CommonRequest& request, ModelSet::Selection model)
      : exchange_(exchange),
        request_(request),
        answer_({answer_id("chatcmpl-", request), std::time(nullptr), std::move(model.name),
                 model_fingerprint(model.entry->llm())},
                {LogprobWriter::vocabulary_of(model.entry->llm()),
                 request.return_tokens_as_token_ids, request.options.logprobs.value_or(0)},
                request.include_usage, request.return_token_ids),
        is_over_(static_cast<std::size_t>(request.options.n.value()), false) {}

  void on_output(std::size_t /*prompt*/, const GenerationOutput& output, bool is_first) override {
    receipts_.add(0, output.receipt);
    if (!request_.stream) {
      last_ = output;
      return;
    }
    if (is_first) send_roles(output);
    send_texts(output);
    send_ends(output);
  }

  void finish(const Usage& usage) override {
    if (request_.stream) {
      if (request_.include_usage || !receipts_.empty())
        exchange_.send_event(answer_.end_chunk(usage, receipts_));
      return;
    }
    HttpResponse response;
    response.body = answer_.whole(last_, usage, receipts_);
    exchange_.respond(std::move(response));
  }

 private:
  void send_roles(const GenerationOutput& output) {
    const auto* ids = output.prompt_token_ids ? &*output.prompt_token_ids : nullptr;
    for (const CompletionChunk& chunk : output.outputs)
      exchange_.send_event(answer_.role_chunk(chunk.index, ids));
  }

  void send_texts(const GenerationOutput& output) {
    for (const CompletionChunk& chunk : output.outputs) {
      const bool has_tokens =
          (request_.return_token_ids || chunk.logprobs) && chunk.n_delta_tokens > 0;
      if (!chunk.delta.empty() || has_tokens) exchange_.send_event(answer_.text_chunk(chunk));
    }
  }

  void send_ends(const GenerationOutput& output) {
    for (std::size_t i = 0; i < output.outputs.size(); ++i) {
      const char* reason = finish_name(output.outputs[i].finish_reason);
      if (reason == nullptr || is_over_[i]) continue;
      is_over_[i] = true;
      exchange_.send_event(answer_.finish_chunk(static_cast<int>(i), reason));
    }
  }

  Exchange& exchange_;
  const CommonRequest& request_;
  const ChatAnswer answer_;
  std::vector<bool> is_over_;
  Receipts receipts_{1};
  GenerationOutput last_;
};

}  // namespace

Task<void> chat_completions(Call& call) {
  Task<ChatRequest> parsing = read_request(call, parse_chat_request);
  ChatRequest request = co_await std::move(parsing);
  set_caller(call, request.options);
  set_default_length(call, std::nullopt, request.options);
  call.app.ignored_names.tell(request.ignored, call.app.options(), call.exchange);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  set_form(model.entry->llm(), request.options);
  Task<void> biasing =
      add_text_biases(call, request.text_biases, request.options, model.entry->llm());
  co_await std::move(biasing);
  GenerationJob job{*model.entry, {}, request.options, request.stream};
  job.prompts.emplace_back(std::move(request.messages));
  ChatWriter writer(call.exchange, request, model);
  Task<void> serving = serve_generation(call, std::move(job), writer);
  co_await std::move(serving);
}

}  // namespace openllm::server

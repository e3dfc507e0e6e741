#include <ctime>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "server/api/answers.h"
#include "server/api/completion_request.h"
#include "server/caller.h"
#include "server/completion_text.h"
#include "server/fingerprint.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/text_biases.h"

namespace openllm::server {
namespace {

/// Choices of all prompts are numbered through.
class CompletionWriter final : public AnswerWriter {
 public:
  /// `request` must outlive the writer, its prompts need not.
  CompletionWriter(Exchange& exchange, const CompletionRequest& request, ModelSet::Selection model)
      : exchange_(exchange),
        request_(request),
        llm_(model.entry->llm()),
        answer_({answer_id("cmpl-", request), std::time(nullptr), std::move(model.name),
                 model_fingerprint(model.entry->llm())},
                {LogprobWriter::vocabulary_of(llm_), request.return_tokens_as_token_ids,
                 request.options.logprobs.value_or(0)},
                request.include_usage, request.return_token_ids),
        n_(static_cast<std::size_t>(request.options.n.value())),
        choices_(request.prompts.size() * n_),
        receipts_(request.prompts.size()) {}

  void on_output(std::size_t prompt, const GenerationOutput& output, bool is_first) override {
    const bool logprobs = request_.options.logprobs.has_value();
    receipts_.add(prompt, output.receipt);
    if (is_first) {
      const PromptText text(
          llm_, output, {request_.echo, request_.options.skip_special_tokens.value(), logprobs});
      for (std::size_t i = 0; i < n_; ++i) choices_[prompt * n_ + i].text.emplace(text, logprobs);
    }
    for (const CompletionChunk& chunk : output.outputs) {
      const std::size_t index = prompt * n_ + static_cast<std::size_t>(chunk.index);
      Choice& choice = choices_[index];
      const bool has_news =
          chunk.n_delta_tokens > 0 || chunk.finish_reason || !chunk.text.empty() || is_first;
      if (choice.is_over || !has_news) continue;
      choice.is_over = chunk.finish_reason.has_value();
      const ChoiceText::Piece news = choice.text->add(chunk);
      CompletionAnswer::Piece piece{static_cast<int>(index), news.text};
      if (logprobs) piece.logprobs = &news.tokens;
      piece.token_ids = &chunk.token_ids;
      piece.cumulative_logprob = chunk.cumulative_logprob;
      if (is_first && output.prompt_token_ids) piece.prompt_token_ids = &*output.prompt_token_ids;
      if (is_first && request_.return_prompt_logprobs && output.prompt_logprobs) {
        piece.prompt_logprobs = &*output.prompt_logprobs;
        piece.n_prompt_logprobs = request_.options.prompt_logprobs.value_or(0);
      }
      piece.finish_reason = chunk.finish_reason;
      std::string json;
      answer_.append_choice(json, piece);
      if (request_.stream) {
        exchange_.send_event(answer_.chunk(json));
      } else {
        choice.json = std::move(json);
      }
    }
  }

  void finish(const Usage& usage) override {
    if (request_.stream) {
      if (request_.include_usage || !receipts_.empty())
        exchange_.send_event(answer_.end_chunk(usage, receipts_));
      return;
    }
    std::string all;
    base::JsonWriter list(all);
    for (const Choice& choice : choices_) list.raw(choice.json);
    HttpResponse response;
    response.body = answer_.whole(all, usage, receipts_);
    exchange_.respond(std::move(response));
  }

 private:
  struct Choice {
    std::optional<ChoiceText> text{};  ///< Set with the first output.
    std::string json{};
    bool is_over = false;
  };

  Exchange& exchange_;
  const CompletionRequest& request_;
  const LLM& llm_;
  const CompletionAnswer answer_;
  const std::size_t n_;
  std::vector<Choice> choices_;
  Receipts receipts_;
};

/// Tokenizes the texts of prompts that have token ids too, away from the I/O thread: the tokenizer
/// may have to be loaded first.
Task<void> join_prompts(Call& call, CompletionRequest& request, const LLM& llm) {
  const std::function<void()> work = [&] {
    join_mixed_prompts(request, [&llm](const std::string& text, bool add_special_tokens) {
      return llm.tokenize(text, {.add_special_tokens = add_special_tokens});
    });
  };
  constexpr std::size_t kAlways = std::numeric_limits<std::size_t>::max();
  co_await Offload(call.app.large_bodies, call.app.executor, kAlways, work);
}

}  // namespace

Task<void> completions(Call& call) {
  Task<CompletionRequest> parsing = read_request(call, parse_completion_request);
  CompletionRequest request = co_await std::move(parsing);
  set_caller(call, request.options);
  constexpr int kOpenAiLength = 16;
  set_default_length(call, kOpenAiLength, request.options);
  call.app.ignored_names.tell(request.ignored, call.app.options(), call.exchange);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  set_form(model.entry->llm(), request.options);
  check_logprobs(request);
  if (!request.mixed.empty()) {
    Task<void> joining = join_prompts(call, request, model.entry->llm());
    co_await std::move(joining);
  }
  Task<void> biasing =
      add_text_biases(call, request.text_biases, request.options, model.entry->llm());
  co_await std::move(biasing);
  CompletionWriter writer(call.exchange, request, model);
  GenerationJob job{*model.entry, std::move(request.prompts), request.options, request.stream};
  Task<void> serving = serve_generation(call, std::move(job), writer);
  co_await std::move(serving);
}

}  // namespace openllm::server

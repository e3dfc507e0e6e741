#include <ctime>
#include <functional>
#include <utility>

#include "server/apart.h"
#include "server/api/answers.h"
#include "server/api/completion_request.h"
#include "server/generation.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

/// One answer in the making: choices of all prompts are numbered through.
class Completions {
 public:
  Completions(App& app, Exchange& exchange, CompletionRequest request, const std::string& model)
      : app_(app),
        exchange_(exchange),
        request_(std::move(request)),
        answer_({answer_id("cmpl-", request_), std::time(nullptr), model},
                make_logprob_writer(app.llm(), request_), request_.include_usage,
                request_.return_token_ids),
        n_(static_cast<std::size_t>(request_.options.n)),
        choices_(request_.prompts.size() * n_),
        offsets_(choices_.size()) {}

  const CompletionRequest& request() const noexcept { return request_; }

  void on_output(std::size_t prompt, const GenerationOutput& output, bool is_first) {
    usage_.add(output, is_first);
    CompletionAnswer::Piece piece;
    if (is_first && request_.echo) {
      piece.echo = &output;
      piece.echo_text = prompt_text(output);
    }
    if (is_first && output.prompt_token_ids) piece.prompt_token_ids = &*output.prompt_token_ids;
    for (const CompletionChunk& chunk : output.outputs) {
      const std::size_t choice = prompt * n_ + static_cast<std::size_t>(chunk.index);
      const bool is_news =
          chunk.n_delta_tokens > 0 || chunk.finish_reason || !chunk.text.empty() || is_first;
      if (choices_[choice].is_over || !is_news) continue;
      choices_[choice].is_over = chunk.finish_reason.has_value();
      piece.index = static_cast<int>(choice);
      piece.chunk = &chunk;
      std::string json;
      answer_.append_choice(json, piece, offsets_[choice]);
      if (request_.stream) {
        exchange_.send_event(answer_.chunk(json));
      } else {
        choices_[choice].json = std::move(json);
      }
    }
  }

  void finish() {
    if (request_.stream) {
      if (request_.include_usage) exchange_.send_event(answer_.usage_chunk(usage_.usage()));
      exchange_.send_event("[DONE]");
      return;
    }
    std::string all;
    for (const Choice& choice : choices_) {
      if (!all.empty()) all += ',';
      all += choice.json;
    }
    HttpResponse response;
    response.body = answer_.whole(all, usage_.usage());
    exchange_.respond(std::move(response));
  }

 private:
  struct Choice {
    std::string json{};
    bool is_over = false;
  };

  std::string prompt_text(const GenerationOutput& output) const {
    if (!output.prompt.empty() || !output.prompt_token_ids || output.prompt_token_ids->empty())
      return output.prompt;
    return app_.llm().detokenize(*output.prompt_token_ids, request_.options.skip_special_tokens);
  }

  App& app_;
  Exchange& exchange_;
  const CompletionRequest request_;
  const CompletionAnswer answer_;
  const std::size_t n_;
  std::vector<Choice> choices_;
  std::vector<LogprobWriter::TextOffset> offsets_;
  UsageCounter usage_;
};

}  // namespace

Task<Nothing> completions(App& app, Exchange& exchange) {
  CompletionRequest request;
  const std::string& body = exchange.request().body;
  const std::function<void()> parse = [&] { request = parse_completion_request(body); };
  co_await Apart(app.large_bodies, app.executor, body.size(), parse);
  const std::string model = app.require_model(request.model);
  request.options.output_kind = request.stream ? OutputKind::kDelta : OutputKind::kFinalOnly;
  Completions answer(app, exchange, std::move(request), model);
  const OnOutput on_output = [&answer](std::size_t prompt, const GenerationOutput& output,
                                       bool is_first) {
    answer.on_output(prompt, output, is_first);
  };
  Task<Nothing> run =
      run_generation(app, exchange, answer.request().prompts, answer.request().options, on_output);
  co_await std::move(run);
  answer.finish();
  co_return Nothing{};
}

}  // namespace openllm::server

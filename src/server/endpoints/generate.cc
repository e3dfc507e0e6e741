// The native routes: a GenerationOutput in JSON, whole or as a stream of its new parts.

#include <utility>

#include "server/api/native_request.h"
#include "server/caller.h"
#include "server/generation.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

class NativeWriter final : public AnswerWriter {
 public:
  NativeWriter(Exchange& exchange, bool stream, int n_choices)
      : exchange_(exchange), stream_(stream), is_over_(static_cast<std::size_t>(n_choices)) {}

  void on_output(std::size_t /*prompt*/, const GenerationOutput& output, bool is_first) override {
    if (stream_) {
      send_delta(output, is_first);
    } else {
      last_ = output;
    }
  }

  void finish(const Usage& /*usage*/) override {
    if (stream_) return;
    HttpResponse response;
    response.body = to_json(last_);
    exchange_.respond(std::move(response));
  }

 private:
  /// The prompt is in the first event only, each choice only in events that bring it something, and
  /// its end once.
  void send_delta(const GenerationOutput& output, bool is_first) {
    GenerationOutput delta;
    delta.finished = output.finished;
    delta.request_id = output.request_id;
    delta.n_cached_tokens = output.n_cached_tokens;
    delta.usage = output.usage;
    delta.timing = output.timing;
    if (is_first) {
      delta.prompt = output.prompt;
      delta.prompt_token_ids = output.prompt_token_ids;
      delta.prompt_logprobs = output.prompt_logprobs;
    }
    for (std::size_t i = 0; i < output.outputs.size(); ++i) {
      const CompletionChunk& chunk = output.outputs[i];
      const bool has_news = chunk.n_delta_tokens > 0 || !chunk.text.empty() || chunk.finish_reason;
      if (is_over_[i] || !has_news) continue;
      is_over_[i] = chunk.finish_reason.has_value();
      delta.outputs.push_back(chunk);
    }
    if (is_first || delta.finished || !delta.outputs.empty()) exchange_.send_event(to_json(delta));
  }

  Exchange& exchange_;
  const bool stream_;
  std::vector<bool> is_over_;
  GenerationOutput last_;
};

Task<void> serve(Call& call, bool stream) {
  Task<NativeRequest> parsing = read_request(call, parse_native_request);
  NativeRequest request = co_await std::move(parsing);
  set_caller(call, request.options);
  const ModelSet::Selection model = call.app.models().require(request.model);
  NativeWriter writer(call.exchange, stream, request.options.n);
  GenerationJob job{*model.entry, {}, std::move(request.options), stream};
  job.prompts.push_back(std::move(request.prompt));
  Task<void> serving = serve_generation(call, std::move(job), writer);
  co_await std::move(serving);
}

}  // namespace

Task<void> generate(Call& call) { return serve(call, false); }
Task<void> generate_stream(Call& call) { return serve(call, true); }

}  // namespace openllm::server

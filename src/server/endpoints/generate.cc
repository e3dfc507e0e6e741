// The native routes: a GenerationOutput in JSON, whole or as a stream of its new parts.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "fields/field.h"
#include "server/api/native_delta.h"
#include "server/api/native_request.h"
#include "server/caller.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/text_biases.h"

namespace openllm::server {
namespace {

class NativeWriter final : public AnswerWriter {
 public:
  NativeWriter(Exchange& exchange, bool stream) : exchange_(exchange), stream_(stream) {}

  void on_output(std::size_t /*prompt*/, const GenerationOutput& output,
                 bool /*is_first*/) override {
    if (!stream_) {
      last_ = output;
    } else if (const std::optional<std::string> event = deltas_.next(output)) {
      exchange_.send_event(*event);
    }
  }

  void finish(const Usage& /*usage*/) override {
    if (stream_) return;
    HttpResponse response;
    response.body = to_json(last_);
    exchange_.respond(std::move(response));
  }

 private:
  Exchange& exchange_;
  const bool stream_;
  NativeDeltas deltas_;
  GenerationOutput last_;
};

/// What the engine says of a field, by its name in the body.
Error as_in_body(const Error& error) {
  const fields::Field* field = fields::find(error.where());
  if (field == nullptr || field->is_beside_config) return error;
  const std::string_view text = error.what();
  const char* const begins = text.starts_with(error.where()) ? "llm_config." : "";
  return {error.code(), base::cat(begins, text), base::cat("llm_config.", error.where()),
          error.reason(), error.retry_after()};
}

Task<void> serve(Call& call, bool stream) {
  Task<NativeRequest> parsing = read_request(call, parse_native_request);
  NativeRequest request = co_await std::move(parsing);
  set_caller(call, request.options);
  set_default_length(call, std::nullopt, request.options);
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.apply_to(request.options);
  set_form(model.entry->llm(), request.options);
  Task<void> biasing =
      add_text_biases(call, request.text_biases, request.options, model.entry->llm());
  co_await std::move(biasing);
  NativeWriter writer(call.exchange, stream);
  GenerationJob job{*model.entry, {}, std::move(request.options), stream};
  job.prompts.push_back(std::move(request.prompt));
  Task<void> serving = serve_generation(call, std::move(job), writer);
  try {
    co_await std::move(serving);
  } catch (const Error& error) {
    throw as_in_body(error);
  }
}

}  // namespace

Task<void> generate(Call& call) { return serve(call, false); }
Task<void> generate_stream(Call& call) { return serve(call, true); }

}  // namespace openllm::server

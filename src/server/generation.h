#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "openllm/llm.h"
#include "server/api/usage.h"
#include "server/offload.h"
#include "server/routes.h"

namespace openllm::server {

/// One request to a model, whatever its dialect.
struct GenerationJob {
  const ModelEntry& model;
  std::vector<Prompt> prompts{};  ///< Each is a request of its own to the engine.
  GenerateOptions options{};      ///< Without the members that `serve_generation` sets.
  bool stream = false;
};

/// Writes one answer in the shape of a dialect: as events while it is made, or as a whole.
/// Everything is called on the I/O thread.
class AnswerWriter {
 public:
  AnswerWriter() = default;
  AnswerWriter(const AnswerWriter&) = delete;
  AnswerWriter& operator=(const AnswerWriter&) = delete;
  virtual ~AnswerWriter() = default;

  /// All requests of the job have been accepted; nothing has been generated yet.
  virtual void begin() {}
  /// `output` of the prompt with that index, of OutputKind::kDelta if streamed, else its last one.
  /// The first one of each prompt comes with `is_first`.
  virtual void on_output(std::size_t prompt, const GenerationOutput& output, bool is_first) = 0;
  /// Every prompt has had its last output. The end of a stream is sent after this.
  virtual void finish(const Usage& usage) = 0;
};

/// Runs the job and has its answer written: one request to the engine per prompt, all at once.
/// Slows down when the client reads slowly. Cancels everything when the client goes away or one of
/// the requests fails; throws the error of that request. A stream begins once every request has
/// been accepted. `call` and `writer` must outlive the task.
Task<void> serve_generation(Call& call, GenerationJob job, AnswerWriter& writer);

/// Throws for an output that is no answer: of a request that was cancelled, failed or came too
/// late.
void require_answer(const GenerationOutput& output, const Exchange& exchange);

/// The error of a request to the server's only model that would be refused as kBusy whatever it
/// asks for: the queue has no place, or one that was told to come now would wait too long. nullopt
/// if its body may be worth reading.
std::optional<Error> refuse_unread(App& app, const HttpRequest& head);

/// The parsed body of the request, large ones parsed on a thread of their own.
template <typename Request>
Task<Request> read_request(Call& call, Request (*parse)(std::string_view body)) {
  Request request;
  const std::string& body = call.exchange.request().body;
  const std::function<void()> work = [&] { request = parse(body); };
  co_await Offload(call.app.large_bodies, call.app.executor, body.size(), work);
  co_return request;
}

}  // namespace openllm::server

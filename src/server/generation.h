#pragma once

#include <functional>
#include <vector>

#include "openllm/llm.h"
#include "server/api/common_request.h"
#include "server/api/json_text.h"
#include "server/api/logprobs.h"
#include "server/app.h"
#include "server/http/exchange.h"
#include "server/http/flow.h"

namespace openllm::server {

/// `output` of the prompt with that index; the first one of each prompt comes with `is_first`.
using OnOutput =
    std::function<void(std::size_t prompt, const GenerationOutput& output, bool is_first)>;

/// Runs one engine request per prompt, all at once, and hands on what they give, on the I/O thread.
/// Slows down when the client reads slowly. Cancels everything when the client goes away or one of
/// them fails; throws what failed. With OutputKind::kDelta the answer is an event stream, which
/// begins once every request has been accepted. All arguments must outlive the task.
Task<Nothing> run_generation(App& app, Exchange& exchange, const std::vector<Prompt>& prompts,
                             const GenerateOptions& options, const OnOutput& on_output);

/// Counts tokens over all outputs of a request, streamed or not.
class UsageCounter {
 public:
  void add(const GenerationOutput& output, bool is_first);
  const Usage& usage() const noexcept { return usage_; }

 private:
  Usage usage_;
};

/// The writer for `request`'s kind of logprobs, with the model's vocabulary. `llm` must outlive it.
LogprobWriter make_logprob_writer(const LLM& llm, const CommonRequest& request);

/// Sends the error as the answer, or as the last event of a stream that has begun.
void send_error(Exchange& exchange, const std::exception& error);

}  // namespace openllm::server

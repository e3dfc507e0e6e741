#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/json.h"
#include "client/caller.h"
#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/stream.h"
#include "openllm/task.h"

namespace openllm::client {

/// A server with one API: how it is asked, and how its answers are read. What all have in common is
/// below.
class Api {
 public:
  explicit Api(Caller caller) : caller_(std::move(caller)) {}
  virtual ~Api() = default;
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  const Caller& caller() const noexcept { return caller_; }

  struct Question {
    std::string path{};
    std::string body{};
  };
  /// May ask the server for what it has to know before.
  virtual Question question(const Prompt& prompt, const GenerateOptions& options,
                            bool stream) const = 0;
  /// Adds a whole answer or an event to `output`, which is cumulative, or with kDelta holds only
  /// the content of this answer. Throws kIo for an answer of another shape than the API's.
  virtual void merge(GenerationOutput& output, const base::Json& answer, OutputKind kind) const = 0;
  /// Takes an event after the end that has the counts and nothing else; false if it is no such.
  virtual bool merge_late_counts(GenerationOutput& /*output*/, const base::Json& /*answer*/) const {
    return false;
  }
  /// Whether "[DONE]" ends an answer whose choices have not told why they ended.
  virtual bool may_end_without_reason() const noexcept = 0;

 private:
  Caller caller_;
};

/// The verbs of clients.
GenerationOutput generate(const Api& api, const Prompt& prompt, const GenerateOptions& options);
/// `on_output` may be empty; false from it cancels.
GenerationOutput generate_stream(const Api& api, const Prompt& prompt,
                                 const GenerateOptions& options,
                                 const std::function<bool(const GenerationOutput&)>& on_output);
/// A call that runs by itself, and keeps `api` alive.
std::shared_ptr<detail::OutputSource> start(std::shared_ptr<const Api> api, Prompt prompt,
                                            const GenerateOptions& options);
Task<GenerationOutput> async_generate(std::shared_ptr<const Api> api, Prompt prompt,
                                      GenerateOptions options);

}  // namespace openllm::client

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm {

/// Address of the server, and the client's patience.
struct ClientOptions {
  /// Address of the server, with or without "/v1". Empty: $OPENLLM_ENDPOINT, else
  /// http://127.0.0.1:3000.
  std::string address{};
  /// Key sent with every call. Empty: $OPENLLM_AUTH_TOKEN, else none.
  std::string api_key{};
  /// Seconds without a byte from the server after which a call fails with kDeadline; >= 1.
  int timeout_s = 300;
  /// Further attempts after the statuses 408, 429 and 5xx.
  int max_retries = 2;
};

/// Talks to an openllm server (or any OpenAI-compatible one).
/// Thread safety: every method from any thread.
/// Errors: every method throws `openllm::Error`; kInvalidArgument after the Client was moved from.
class OPENLLM_API Client {
 public:
  explicit Client(ClientOptions options = {});
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  /// True when /readyz answers 200.
  bool health() const;
  /// Ids that /v1/models lists.
  std::vector<std::string> models() const;
  /// Asks the server's first model. Text prompts go to /v1/completions, messages to
  /// /v1/chat/completions; token ids are kUnsupported, as are fields that no server takes
  /// (docs/fields.md).
  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options = {}) const;
  /// The same, with a call of `on_output`, unless that is empty, after every event of the answer. A
  /// return value of false cancels the request; an exception ends it and is passed on. Returns the
  /// last output.
  GenerationOutput generate_stream(
      const Prompt& prompt, const GenerateOptions& options,
      const std::function<bool(const GenerationOutput&)>& on_output) const;

 private:
  class Impl;
  const Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm

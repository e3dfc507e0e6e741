#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm {

/// Which server a client asks, and how patiently.
struct ClientOptions {
  /// Empty: $OPENLLM_ENDPOINT, else http://127.0.0.1:3000.
  std::string address{};
  /// Empty: $OPENLLM_AUTH_TOKEN.
  std::string api_key{};
  int timeout_s = 300;  ///< Longest silence, in seconds.
  int max_retries = 2;  ///< After the statuses 408, 429 and 5xx.
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
  /// Text prompts go to /v1/completions, messages to /v1/chat/completions. Token ids: kUnsupported.
  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options = {}) const;
  /// Calls `on_output`, if not empty, after every event; return false from it to cancel, what it
  /// throws comes out of here. Returns the last output.
  GenerationOutput generate_stream(
      const Prompt& prompt, const GenerateOptions& options,
      const std::function<bool(const GenerationOutput&)>& on_output) const;

 private:
  class Impl;
  const Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm

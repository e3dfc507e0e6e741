#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "openllm/chat.h"
#include "openllm/embed.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/stream.h"
#include "openllm/task.h"

namespace openllm {

/// Address of the server, whom to ask there, and the client's patience.
struct ClientOptions {
  /// Address of the server, with or without "/v1". Empty: $OPENLLM_ENDPOINT, else
  /// http://127.0.0.1:3000.
  std::string address{};
  /// Key sent with every call. Empty: $OPENLLM_AUTH_TOKEN, else none.
  std::string api_key{};
  /// Seconds without a byte from the server after which a call fails with kDeadline; >= 1.
  int timeout_s = 300;
  /// Further attempts after the statuses 408, 409, 429 and 5xx, or as X-Should-Retry says; none
  /// once an answer has begun, nor after silence.
  int max_retries = 2;
  /// The model to ask, as /v1/models lists it. Empty: the first one there.
  std::string model{};
  /// Of https: trust only a server whose certificate is for its name, by a known authority.
  bool verify = true;
  /// File with the certificates of the authorities that are known (PEM); empty: the system's.
  std::string ca_file{};
  /// Pause before the first repetition where the server names none; doubled with each, at most 16
  /// times this, a quarter more or less.
  std::chrono::milliseconds retry_pause{500};
};

/// Talks to an openllm server (or any OpenAI-compatible one), with the verbs of `LLM`.
/// Text prompts and token ids go to /v1/completions, messages to /v1/chat/completions. Fields that
/// these routes do not take (docs/fields.md), and tenant, group and max_wait, are kUnsupported.
/// Thread safety: every method from any thread. Streams and tasks may outlive the Client.
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

  /// Answers and returns the last output.
  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options = {}) const;
  /// Answers bit by bit.
  GenerationStream generate_iterator(const Prompt& prompt,
                                     const GenerateOptions& options = {}) const;
  /// `generate` for coroutines; `.get()` blocks. The call begins at once, on a thread of its own.
  Task<GenerationOutput> async_generate(Prompt prompt, GenerateOptions options = {}) const;
  /// `generate_iterator` for coroutines.
  AsyncGenerationStream async_generate_iterator(const Prompt& prompt,
                                                const GenerateOptions& options = {}) const;
  /// The same verbs for a conversation.
  GenerationOutput chat(const std::vector<Message>& messages,
                        const GenerateOptions& options = {}) const;
  Task<GenerationOutput> async_chat(std::vector<Message> messages,
                                    GenerateOptions options = {}) const;

  /// As LLM::embed, LLM::score and LLM::rerank, by /v1/embeddings, /v1/score and /v1/rerank. The
  /// counts of tokens are of all inputs together.
  EmbedOutput embed(const std::vector<Prompt>& inputs, const EmbedOptions& options = {}) const;
  ScoreOutput score(const std::string& query, const std::vector<std::string>& documents,
                    const EmbedOptions& options = {}) const;
  RerankOutput rerank(const std::string& query, const std::vector<std::string>& documents,
                      int top_n = 0, const EmbedOptions& options = {}) const;

  /// `generate` with a call of `on_output`, unless that is empty, after every event of the answer,
  /// on this thread. A return value of false cancels the request; an exception ends it and is
  /// passed on. Returns the last output.
  GenerationOutput generate_stream(
      const Prompt& prompt, const GenerateOptions& options,
      const std::function<bool(const GenerationOutput&)>& on_output) const;

 private:
  class Impl;
  const std::shared_ptr<const Impl>& impl() const;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace openllm

#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "openllm/chat.h"
#include "openllm/co_await_safe.h"
#include "openllm/generator.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/stream.h"
#include "openllm/task.h"

namespace openllm {

namespace client {
class NativeServer;
}  // namespace client

/// Address of an openllm server, whom to trust, and the client's patience.
struct HTTPClientOptions {
  /// Address of the server; "http://" where it has no scheme. Empty: $OPENLLM_ENDPOINT, without
  /// which the constructor throws kInvalidArgument.
  std::string address{};
  /// Token sent with every call. Empty: $OPENLLM_AUTH_TOKEN, else none.
  std::string auth_token{};
  /// Seconds without a byte from the server after which a call fails with kDeadline; >= 1.
  int timeout_s = 30;
  /// Of https: trust only a server whose certificate is for its name, by a known authority.
  bool verify = true;
  /// File with the certificates of the authorities that are known (PEM); empty: the system's.
  std::string ca_file{};
  /// Further attempts after the statuses 408, 409, 429 and 5xx, or as X-Should-Retry says; none
  /// once an answer has begun, nor after silence.
  int max_retries = 2;
  /// Pause before the first repetition where the server names none (at most a minute is waited):
  /// doubled with each, at most 16 times this, a quarter more or less.
  std::chrono::milliseconds retry_pause{500};
  /// What the routes begin with.
  std::string api_version = "v1";
  /// The model to ask. Empty: the server's first.
  std::string model{};
};

/// What one call has of its own, besides its GenerateOptions.
struct HTTPCallOptions {
  /// A patch of the server's defaults; GenerateOptions override it. Only what is set is sent.
  CoAwaitSafe<LLMConfig> llm_config{};
  /// As in HTTPClientOptions; unset: as there. GenerateOptions::timeout is another thing: the time
  /// after which the answer ends.
  std::optional<int> timeout_s{};
  std::optional<bool> verify{};
};

/// A new part of one choice: at most one token.
struct StreamingResponse {
  std::string request_id{};
  int index = 0;       ///< Of the choice.
  std::string text{};  ///< Of tokens that came together, all of it stands with the last of them.
  std::optional<std::int32_t> token_ids{};  ///< Unset where text comes without a token.
};

/// What a server says of itself and its model.
struct Metadata {
  std::string model_id{};
  std::string model_name{};
  std::string backend{};
  std::int64_t timeout = 0;  ///< Milliseconds.
  /// Defaults of requests there, as far as LLMConfig has them.
  LLMConfig configuration{};
  /// All of them, as the server's JSON text.
  std::string configuration_json{};
};

/// Talks to an openllm server by its native routes (docs/serving.md), as OpenLLM's HTTPClient. A
/// request has what the caller sets and nothing else; everything else is as the server has it.
/// Thread safety: every method from any thread. Streams may outlive the client.
/// Errors: every method throws `openllm::Error`; kInvalidArgument after `close` and after the
/// client was moved from. Fields that no server takes, and tenant, group and max_wait, are
/// kUnsupported.
class OPENLLM_API HTTPClient {
 public:
  explicit HTTPClient(HTTPClientOptions options = {});
  template <std::convertible_to<std::string_view> Text>
  explicit HTTPClient(const Text& address)  // a template: g++ takes braces for a std::string, too
      : HTTPClient(HTTPClientOptions{.address = std::string(std::string_view(address))}) {}
  ~HTTPClient();
  HTTPClient(HTTPClient&&) noexcept;
  HTTPClient& operator=(HTTPClient&&) noexcept;

  /// Answers and returns the last output.
  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options = {},
                            const HTTPCallOptions& call = {}) const;
  /// The same.
  GenerationOutput query(const Prompt& prompt, const GenerateOptions& options = {},
                         const HTTPCallOptions& call = {}) const;
  /// Answers bit by bit. The call begins at once, on a thread of its own.
  GenerationStream generate_iterator(const Prompt& prompt, const GenerateOptions& options = {},
                                     const HTTPCallOptions& call = {}) const;
  /// The same, token by token, of all choices as they come.
  Generator<StreamingResponse> generate_stream(const Prompt& prompt,
                                               const GenerateOptions& options = {},
                                               const HTTPCallOptions& call = {}) const;

  /// True when the server's /readyz answers 200; false also where nobody answers.
  bool health() const;
  /// The same, and false after `close`.
  bool is_ready() const;
  bool is_closed() const;
  /// "http://host:port", with the path that the server may have.
  std::string address() const;
  /// The address with the version of the API: "http://host:port/v1".
  std::string base_url() const;
  /// As servers see it: "HTTPClient/C++ 0.1.0".
  std::string user_agent() const;

  /// Asked for once, and kept.
  Metadata metadata() const;
  /// A field of the metadata ("backend") or of the server's configuration ("max_new_tokens"): texts
  /// as they are, everything else as JSON ("null" where it is not set). kInvalidArgument for other
  /// names.
  std::string operator[](std::string_view name) const;

  /// Further routes.
  class OPENLLM_API Helpers {
   public:
    /// The prompt that the model's chat template makes of messages.
    std::string messages(const std::vector<Message>& messages,
                         bool add_generation_prompt = false) const;

   private:
    friend class HTTPClient;
    explicit Helpers(std::shared_ptr<const client::NativeServer> server);
    std::shared_ptr<const client::NativeServer> server_;
  };
  Helpers helpers() const;

  /// Later calls throw; what runs goes on to its end.
  void close();

 private:
  const std::shared_ptr<const client::NativeServer>& server() const;
  std::shared_ptr<const client::NativeServer> server_;
};

/// HTTPClient for coroutines; `.get()` of a task blocks. Calls begin at once, each on a thread of
/// its own; destroying a task or a stream ends its call.
class OPENLLM_API AsyncHTTPClient {
 public:
  explicit AsyncHTTPClient(HTTPClientOptions options = {});
  template <std::convertible_to<std::string_view> Text>
  explicit AsyncHTTPClient(
      const Text& address)  // a template: g++ takes braces for a std::string, too
      : AsyncHTTPClient(HTTPClientOptions{.address = std::string(std::string_view(address))}) {}
  ~AsyncHTTPClient();
  AsyncHTTPClient(AsyncHTTPClient&&) noexcept;
  AsyncHTTPClient& operator=(AsyncHTTPClient&&) noexcept;

  Task<GenerationOutput> generate(Prompt prompt, GenerateOptions options = {},
                                  HTTPCallOptions call = {}) const;
  Task<GenerationOutput> query(Prompt prompt, GenerateOptions options = {},
                               HTTPCallOptions call = {}) const;
  AsyncGenerationStream generate_iterator(const Prompt& prompt, const GenerateOptions& options = {},
                                          const HTTPCallOptions& call = {}) const;
  AsyncGenerator<StreamingResponse> generate_stream(const Prompt& prompt,
                                                    const GenerateOptions& options = {},
                                                    const HTTPCallOptions& call = {}) const;

  Task<bool> health() const;
  Task<bool> is_ready() const;
  bool is_closed() const;
  std::string address() const;
  std::string base_url() const;
  std::string user_agent() const;

  Task<Metadata> metadata() const;
  Task<std::string> operator[](std::string name) const;

  class OPENLLM_API Helpers {
   public:
    Task<std::string> messages(std::vector<Message> messages,
                               bool add_generation_prompt = false) const;

   private:
    friend class AsyncHTTPClient;
    explicit Helpers(std::shared_ptr<const client::NativeServer> server);
    std::shared_ptr<const client::NativeServer> server_;
  };
  Helpers helpers() const;

  void close();

 private:
  const std::shared_ptr<const client::NativeServer>& server() const;
  std::shared_ptr<const client::NativeServer> server_;
};

}  // namespace openllm

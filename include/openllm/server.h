#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "openllm/llm.h"

namespace openllm {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 3000;  ///< 0: any free port.
  /// If not empty, every route but the health ones (/healthz, /livez, /readyz, /health) wants
  /// `Authorization: Bearer <one of these>` or `X-Api-Key: <one of these>`. Keys share no cached
  /// prompts, and are served in turn.
  std::vector<std::string> api_keys{};
  std::size_t max_body_bytes = std::size_t{16} << 20U;
  std::size_t max_connections = 4096;
  int header_timeout_s = 30;    ///< Time a client has to send its request.
  int idle_timeout_s = 75;      ///< Time a connection may wait for its next request.
  int shutdown_timeout_s = 30;  ///< Time running answers get to finish at `stop`.
  /// Longest time of a request of the generating routes, which then ends with 504, in a stream with
  /// an event. A request's own `timeout` may be shorter. 0: no limit.
  int request_timeout_s = 0;
  /// Connections that may wait to be accepted; 0: as many as the system allows, which never allows
  /// more than that.
  int backlog = 0;
  /// Requests that would wait longer for their first step, by the speed that the model has shown,
  /// are refused with 429 and a time to come again; 0: none are, up to LoadOptions::max_queue.
  double max_wait_s = 2.0;
  /// Tokens of an answer to a request that sets no limit itself; -1: to the end of the context.
  /// Unset: 16 for completions, as OpenAI's API has it; chats go to the end of the answer or of the
  /// context, and native requests that continue a text take LLM::config().
  std::optional<int> max_new_tokens{};
  /// Names besides its own that requests may use for the model, the first one if there are
  /// several; with "*" it answers under every name that no model has.
  std::vector<std::string> model_aliases{};
  /// Web pages of other origins that may use the server from a browser (CORS): exact origins such
  /// as "https://example.com", or "*" for every page. Empty: none.
  std::vector<std::string> allowed_origins{};
  /// Clients may give a `priority` below 0, and so run before the requests of others.
  bool allow_priority = false;
  /// Refuse members of OpenAI's bodies that nobody knows, instead of ignoring them and saying so in
  /// the answer's header field `openllm-ignored-fields`.
  bool strict = false;
  /// Threads for the endpoints of a Service that are plain functions; 0: four per CPU, at least 8.
  /// 64 calls for each may wait for one, more are refused with 429.
  int handler_threads = 0;
  /// Called with one line for what the owner of the server should know, for example a member that
  /// was ignored (once for each name). Runs on the server's I/O thread: it must neither block nor
  /// throw.
  std::function<void(const std::string& line)> log{};
};

/// One of the models of a server.
struct ServedModel {
  LLM llm;
  /// Name in requests and answers; empty: the LLM's id. Its id, its tag and, once it is loaded, its
  /// path are understood too, unless two models have the same.
  std::string name{};
  std::vector<std::string> aliases{};  ///< Further names.
};

/// The OpenAI-compatible HTTP server.
/// Thread safety: every method from any thread.
class OPENLLM_API Server {
 public:
  /// Throws Error (kInvalidArgument) for options that could serve nobody.
  Server(LLM llm, const ServerOptions& options = {});
  /// Several models behind one address: the request's `model` selects, the first one answers when
  /// it names none. Each needs a name of its own.
  explicit Server(std::vector<ServedModel> models, const ServerOptions& options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and serves on a thread of its own. Throws Error (kIo) when the address cannot be bound,
  /// and may be called again then; kInvalidArgument once it has served: a server serves once.
  /// The models load in the background, one after the other: /healthz answers at once, /readyz with
  /// 503 until all are loaded. One that cannot be loaded does not keep the others from answering.
  void start();
  std::uint16_t port() const noexcept;
  /// Blocks until every model is loaded, so that /readyz answers with 200 from then on. Throws the
  /// Error that loading failed with, of several the first; kInvalidArgument before `start`.
  void wait_until_ready() const;
  /// Blocks until `stop`.
  void wait();
  /// Stops accepting, lets running answers finish for `shutdown_timeout_s`, then cancels them.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "openllm/llm.h"

namespace openllm {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 3000;  ///< 0: any free port.
  /// If not empty, every route but the health ones (/healthz, /livez, /readyz, /health) wants
  /// `Authorization: Bearer <one of these>`.
  std::vector<std::string> api_keys{};
  std::size_t max_body_bytes = std::size_t{16} << 20U;
  std::size_t max_connections = 4096;
  int header_timeout_s = 30;    ///< Time a client has to send its request.
  int idle_timeout_s = 75;      ///< Time a connection may wait for its next request.
  int shutdown_timeout_s = 30;  ///< Time running answers get to finish at `stop`.
  /// Names besides the model's own id that requests may use; any name is accepted if it contains
  /// "*".
  std::vector<std::string> model_aliases{};
  /// Web pages of other origins that may use the server from a browser (CORS): exact origins such
  /// as "https://example.com", or "*" for every page. Empty: none.
  std::vector<std::string> allowed_origins{};
};

/// The OpenAI-compatible HTTP server.
/// Thread safety: every method from any thread.
class OPENLLM_API Server {
 public:
  /// Throws Error (kInvalidArgument) for options that could serve nobody.
  Server(LLM llm, const ServerOptions& options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and serves on a thread of its own. Throws Error (kIo) when the address cannot be bound,
  /// and may be called again then; kInvalidArgument once it has served: a server serves once.
  /// The model loads in the background: /healthz answers at once, /readyz with 503 until it is
  /// loaded.
  void start();
  std::uint16_t port() const noexcept;
  /// Blocks until the model is loaded, so that /readyz answers with 200 from then on. Throws the
  /// Error that loading failed with; kInvalidArgument before `start`.
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

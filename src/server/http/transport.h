#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "openllm/options.h"
#include "server/http/exchange.h"

namespace openllm::server {

struct TransportOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::size_t max_header_bytes = std::size_t{64} << 10U;
  std::size_t max_body_bytes = std::size_t{16} << 20U;
  std::size_t max_connections = 4096;
  int backlog = 0;  ///< Connections that may wait to be accepted; 0: the system's limit.
  std::chrono::milliseconds header_timeout{30'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{60'000};  ///< Longest time a client may read nothing.
  /// Silence before a comment goes into an event stream.
  std::chrono::milliseconds keep_alive_interval{15'000};
  std::chrono::milliseconds shutdown_timeout{30'000};
};

struct TransportStats {
  std::int64_t n_connections = 0;  ///< Open now.
  std::int64_t n_accepted = 0;
  std::int64_t n_rejected = 0;  ///< Over `max_connections`.
};

/// HTTP/1.1 over TCP on one thread of its own. The handler is called on that thread for every
/// complete request; it must not block, and must call `Exchange::finish` in the end.
class Transport {
 public:
  using Handler = std::function<void(std::shared_ptr<Exchange>)>;
  /// Makes the answer to bytes that are no request for the handler. `request`: the fields of its
  /// head, as far as they could be read.
  using ErrorBody =
      std::function<HttpResponse(int status, const std::string& message, const Headers& request)>;

  /// The answer to a request that is refused whatever its body is; nullopt if that has to be read.
  /// Called with the head before a long body, so that only those who may be answered can fill
  /// memory.
  using HeadCheck = std::function<std::optional<HttpResponse>(const HttpRequest& head)>;

  Transport(TransportOptions options, Handler handler, ErrorBody error_body, HeadCheck head_check);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Throws Error kIo naming the address when it cannot be bound.
  void start();
  std::uint16_t port() const noexcept;
  /// Stops accepting, lets running answers finish for `shutdown_timeout`, cancels them, and waits
  /// for their end.
  void stop();
  /// Runs a callable on the I/O thread. Stays valid after the transport is gone (then it does
  /// nothing).
  Executor executor() const;
  TransportStats stats() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::server

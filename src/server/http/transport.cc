#include "server/http/transport.h"

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "server/http/connection.h"

namespace openllm::server {
namespace {

using boost::system::error_code;
using net::ip::tcp;
constexpr auto kTuple = net::as_tuple(net::use_awaitable);
/// After the answers were cancelled, clients get this long to take the rest.
constexpr auto kCloseDelay = std::chrono::seconds(2);

net::ip::tcp::endpoint resolve(net::io_context& io, const TransportOptions& options) {
  error_code ec;
  tcp::resolver resolver(io);
  const auto results =
      resolver.resolve(options.host, std::to_string(options.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, ec);
  if (ec || results.empty()) {
    base::fail(ErrorCode::kIo, "server: cannot resolve the host ", options.host, " (", ec.message(),
               ")");
  }
  // A name such as localhost often has both families; clients that know one only know IPv4.
  for (const auto& result : results) {
    if (result.endpoint().address().is_v4()) return result.endpoint();
  }
  return results.begin()->endpoint();
}

}  // namespace

struct Transport::Impl {
  explicit Impl(TransportOptions options)
      : io(std::make_shared<net::io_context>(1)), acceptor(*io), spare(*io), stop_timer(*io) {
    hub.options = std::move(options);
    hub.io = io;
  }

  net::awaitable<void> accept_loop();
  net::awaitable<void> run_connection(std::shared_ptr<Connection> connection);
  net::awaitable<void> drain();
  void reject(tcp::socket& socket, const std::string& message);
  bool reject_without_descriptor();

  std::shared_ptr<net::io_context> io;
  Hub hub;
  tcp::acceptor acceptor;
  tcp::socket spare;  // never connected: a descriptor to give up
  net::steady_timer stop_timer;
  std::unordered_set<std::shared_ptr<Connection>> connections;  // I/O thread
  std::uint16_t port = 0;
  std::thread thread;
  base::Mutex stop_mutex;
  std::atomic<std::int64_t> n_connections{0};
  std::atomic<std::int64_t> n_accepted{0};
  std::atomic<std::int64_t> n_rejected{0};
};

/// Says so without waiting for the client, and closes.
void Transport::Impl::reject(tcp::socket& socket, const std::string& message) {
  n_rejected.fetch_add(1, std::memory_order_relaxed);
  const HttpResponse response = hub.error_body(503, message, Headers{});
  const std::string bytes =
      make_head(response, response.body.size(), HttpRequest{}, false) + response.body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(net::buffer(bytes), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  // Whatever request is already here must be read, or closing would reset the connection before the
  // answer is seen. Not without end: a client that never stops sending must not hold this thread.
  constexpr int kMaxReads = 64;
  std::array<char, 4096> discarded{};
  for (int i = 0; i < kMaxReads && !ignored; ++i) socket.read_some(net::buffer(discarded), ignored);
  socket.close(ignored);
}

/// The process has no descriptor left for the connection that waits: the spare one is given up for
/// it, so that the client hears of it instead of hanging. False when that cannot be, or when no
/// connection waits (accept looks for a descriptor first).
bool Transport::Impl::reject_without_descriptor() {
  if (!spare.is_open()) return false;
  error_code ec;
  spare.close(ec);
  error_code none;
  tcp::socket socket = acceptor.accept(*io, none);  // non-blocking, see `start`
  if (!none) {
    n_accepted.fetch_add(1, std::memory_order_relaxed);
    reject(socket, "server: out of file descriptors");  // its descriptor is the spare one's next
  }
  spare.open(acceptor.local_endpoint(ec).protocol(), ec);
  return !none;
}

net::awaitable<void> Transport::Impl::run_connection(std::shared_ptr<Connection> connection) {
  try {
    co_await connection->run();
  } catch (const std::exception&) {
    connection->close();  // out of memory: this client's connection ends, the others go on
  }
  connections.erase(connection);
  n_connections.store(static_cast<std::int64_t>(connections.size()), std::memory_order_relaxed);
  if (hub.draining && connections.empty()) stop_timer.cancel();
}

net::awaitable<void> Transport::Impl::accept_loop() {
  while (acceptor.is_open()) {
    auto [ec, socket] = co_await acceptor.async_accept(kTuple);
    if (hub.draining) break;
    if (ec == net::error::no_descriptors && reject_without_descriptor()) continue;
    if (ec) {
      // Accepting again at once would spin.
      net::steady_timer pause(*io, std::chrono::milliseconds(50));
      co_await pause.async_wait(kTuple);
      continue;
    }
    n_accepted.fetch_add(1, std::memory_order_relaxed);
    if (connections.size() >= hub.options.max_connections) {
      reject(socket, "server: too many connections (at most " +
                         std::to_string(hub.options.max_connections) + ")");
      continue;
    }
    auto connection = std::make_shared<Connection>(std::move(socket), hub);
    connections.insert(connection);
    n_connections.store(static_cast<std::int64_t>(connections.size()), std::memory_order_relaxed);
    net::co_spawn(*io, run_connection(std::move(connection)), net::detached);
  }
}

net::awaitable<void> Transport::Impl::drain() {
  hub.draining = true;
  error_code ignored;
  acceptor.close(ignored);
  for (const auto& connection : connections) connection->drain();
  stop_timer.expires_after(hub.options.shutdown_timeout);
  if (!connections.empty()) co_await stop_timer.async_wait(kTuple);
  const auto remaining = connections;
  for (const auto& connection : remaining) connection->cancel_answer();
  stop_timer.expires_after(kCloseDelay);
  if (!connections.empty()) co_await stop_timer.async_wait(kTuple);
  const auto stubborn = connections;
  for (const auto& connection : stubborn) connection->close();
}

Transport::Transport(TransportOptions options, Handler handler, ErrorBody error_body,
                     HeadCheck head_check)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->hub.handler = std::move(handler);
  impl_->hub.error_body = std::move(error_body);
  impl_->hub.head_check = std::move(head_check);
}

Transport::~Transport() {
  try {
    stop();
  } catch (...) {  // out of memory at the very end: nobody is left to tell
  }
}

void Transport::start() {
  const TransportOptions& options = impl_->hub.options;
  const std::string address = base::cat(options.host, ":", int{options.port});
  error_code ec;
  const tcp::endpoint endpoint = resolve(*impl_->io, options);
  tcp::acceptor& acceptor = impl_->acceptor;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(net::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  const int backlog =
      options.backlog > 0 ? options.backlog : net::socket_base::max_listen_connections;
  if (!ec) acceptor.listen(backlog, ec);
  if (!ec) acceptor.non_blocking(true, ec);
  if (!ec) impl_->port = acceptor.local_endpoint(ec).port();
  if (ec) {
    error_code ignored;
    acceptor.close(ignored);
    base::fail(ErrorCode::kIo, "server: cannot listen on ", address, " (", ec.message(), ")");
  }
  impl_->spare.open(endpoint.protocol(), ec);  // better without than not at all
  net::co_spawn(*impl_->io, impl_->accept_loop(), net::detached);
  impl_->thread = base::start_thread([io = impl_->io] { io->run(); });
}

std::uint16_t Transport::port() const noexcept { return impl_->port; }

void Transport::stop() {
  const base::MutexLock lock(impl_->stop_mutex);
  if (!impl_->thread.joinable()) return;
  net::co_spawn(*impl_->io, impl_->drain(), net::detached);
  impl_->thread.join();
}

Executor Transport::executor() const {
  return [io = impl_->io](std::function<void()> task) { net::post(*io, std::move(task)); };
}

TransportStats Transport::stats() const noexcept {
  TransportStats stats;
  stats.n_connections = impl_->n_connections.load(std::memory_order_relaxed);
  stats.n_accepted = impl_->n_accepted.load(std::memory_order_relaxed);
  stats.n_rejected = impl_->n_rejected.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace openllm::server

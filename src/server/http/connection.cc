#include "server/http/connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "server/http/request_reader.h"

namespace openllm::server {
namespace {

using boost::system::error_code;

constexpr auto kTuple = net::as_tuple(net::use_awaitable);
/// Pipelined requests beyond this stay in the kernel until the ones before them are answered.
constexpr std::size_t kMaxBuffered = 256 * 1024;
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr auto kLingerTime = std::chrono::seconds(2);
/// How often it is looked whether somebody is still there who has sent so much ahead that nothing
/// more is read: the end stands behind that. (It is seen once the kernel has all that was sent.)
constexpr auto kLookForEnd = std::chrono::seconds(1);

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kKeepAliveComment = ": keep-alive\n\n";

void append_chunk(std::string& out, std::string_view data) {
  std::array<char, 24> size{};
  const int n = std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
  out.append(size.data(), static_cast<std::size_t>(std::max(n, 0)));
  out += data;
  out += "\r\n";
}

/// Whether the other side sends no more, whatever of it has not been read yet.
bool has_peer_ended(net::ip::tcp::socket& socket) {
  pollfd state{socket.native_handle(), POLLRDHUP, 0};
  return ::poll(&state, 1, 0) > 0;
}

}  // namespace

void Event::notify() {
  set_ = true;
  timer_.cancel();
}

net::awaitable<bool> Event::wait_until(std::chrono::steady_clock::time_point deadline) {
  if (!set_) {
    timer_.expires_at(deadline);
    co_await timer_.async_wait(kTuple);
  }
  co_return std::exchange(set_, false);
}

Connection::Connection(net::ip::tcp::socket socket, Hub& hub)
    : socket_(std::move(socket)),
      hub_(hub),
      wake_(socket_.get_executor()),
      room_(socket_.get_executor()),
      write_timer_(socket_.get_executor()) {}

void Connection::consume(std::size_t n) {
  input_pos_ += n;
  if (input_pos_ == input_.size()) {
    input_.clear();
    input_pos_ = 0;
    if (input_.capacity() > kReadBytes) input_.shrink_to_fit();
  }
  if (n > 0) room_.notify();
}

void Connection::drain() { wake_.notify(); }

void Connection::cancel_answer() {
  if (exchange_) exchange_->cancel(Exchange::Cancel::kShutdown);
}

void Connection::close() {
  error_code ignored;
  socket_.close(ignored);
  if (const auto exchange = std::exchange(exchange_, nullptr))
    exchange->cancel(Exchange::Cancel::kClientGone);
  wake_.notify();
  room_.notify();
}

net::awaitable<void> Connection::read_loop() {
  std::array<char, kReadBytes>* buffer = nullptr;  // made only while there is something to read
  std::unique_ptr<std::array<char, kReadBytes>> owner;
  while (socket_.is_open()) {
    if (buffered().size() >= kMaxBuffered && !discard_) {
      const bool has_room = co_await room_.wait_until(Clock::now() + kLookForEnd);
      if (!has_room && socket_.is_open() && has_peer_ended(socket_)) break;
      continue;
    }
    owner.reset();
    const auto [wait_error] = co_await socket_.async_wait(net::ip::tcp::socket::wait_read, kTuple);
    if (wait_error) break;
    owner = std::make_unique<std::array<char, kReadBytes>>();
    buffer = owner.get();
    error_code ec;
    const std::size_t n = socket_.read_some(net::buffer(*buffer), ec);
    // Readiness may be reported with nothing there; only a real end counts as the client's leaving.
    if (ec == net::error::would_block || ec == net::error::try_again) continue;
    if (ec) break;
    if (discard_) continue;
    if (input_pos_ > 0) {
      input_.erase(0, input_pos_);
      input_pos_ = 0;
    }
    input_.append(buffer->data(), n);
    wake_.notify();
  }
  eof_ = true;
  reader_done_ = true;
  wake_.notify();
}

net::awaitable<Connection::ReadOutcome> Connection::read_request(bool is_first) {
  RequestReader reader(
      {.head_bytes = hub_.options.max_header_bytes, .body_bytes = hub_.options.max_body_bytes});
  bool begun = false;
  bool head_seen = false;
  auto deadline =
      Clock::now() + (is_first ? hub_.options.header_timeout : hub_.options.idle_timeout);
  const auto refused = [&](int status, const std::string& what) {
    return ReadOutcome{{}, hub_.error_body(status, what, reader.head().headers), reader.head()};
  };
  for (;;) {
    // Empty lines between requests are allowed (RFC 9112, 2.2).
    while (!begun && !buffered().empty() && (buffered()[0] == '\r' || buffered()[0] == '\n'))
      consume(1);
    if (!buffered().empty()) {
      if (!begun) {
        begun = true;
        deadline = Clock::now() + hub_.options.header_timeout;
      }
      const std::size_t n = reader.put(buffered());
      consume(n);
      if (const auto& problem = reader.problem(); problem.status != 0)
        co_return refused(problem.status, problem.what);
      if (!reader.is_done() && n > 0 && !buffered().empty()) continue;
    }
    if (reader.has_head() && !head_seen) {
      head_seen = true;
      if (reader.has_long_body_ahead()) {
        if (auto refusal = hub_.head_check(reader.head()))
          co_return ReadOutcome{{}, std::move(refusal), reader.head()};
      }
      if (reader.is_expecting() && !co_await write(kContinue)) co_return ReadOutcome{};
    }
    if (reader.is_done()) {
      ReadOutcome outcome;
      outcome.request = reader.take();
      co_return outcome;
    }
    if (eof_ || (hub_.draining && !begun)) co_return ReadOutcome{};
    if (!co_await wake_.wait_until(deadline) && Clock::now() >= deadline) {
      if (begun) co_return refused(408, "request: did not arrive in time");
      co_return ReadOutcome{};
    }
  }
}

net::awaitable<bool> Connection::write(std::string_view data) {
  while (!data.empty()) {
    error_code ec;
    const std::size_t n = socket_.write_some(net::buffer(data.data(), data.size()), ec);
    data.remove_prefix(n);
    if (!ec) continue;
    if (ec != net::error::would_block && ec != net::error::try_again) co_return false;
    write_timer_.expires_after(hub_.options.write_timeout);
    write_timer_.async_wait([self = shared_from_this()](const error_code& timer_error) {
      if (!timer_error) self->close();
    });
    const auto [wait_error] = co_await socket_.async_wait(net::ip::tcp::socket::wait_write, kTuple);
    write_timer_.cancel();
    if (wait_error) co_return false;
  }
  co_return true;
}

net::awaitable<bool> Connection::send_response(const HttpRequest& request,
                                               const HttpResponse& response, bool keep_alive) {
  std::string bytes = make_head(response, response.body.size(), request, keep_alive);
  if (request.method != "HEAD") bytes += response.body;
  co_return co_await write(bytes);
}

net::awaitable<bool> Connection::send_events(Exchange& exchange, bool& keep_alive) {
  const HttpRequest& request = exchange.request();
  const bool chunked = !request.is_http10;
  if (!chunked) keep_alive = false;
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  head.headers.add("Cache-Control", "no-cache");
  head.headers.add("X-Accel-Buffering", "no");  // nginx would hold events back
  head.headers.add(std::as_const(exchange).common_headers());
  exchange.begin_events();
  std::string bytes = make_head(head, std::nullopt, request, keep_alive);
  bool comment = !exchange.has_output();  // the head goes out because the wait got long
  for (;;) {
    const std::string events = comment ? std::string(kKeepAliveComment) : exchange.take_output();
    if (!events.empty()) {
      if (chunked) {
        append_chunk(bytes, events);
      } else {
        bytes += events;
      }
    }
    const bool last = exchange.is_finished() && !exchange.has_output();
    if (last && chunked) bytes += "0\r\n\r\n";
    if (!co_await write(bytes)) co_return false;
    bytes.clear();
    if (last) co_return true;
    exchange.resume_waiters();
    comment = false;
    const auto deadline = Clock::now() + hub_.options.keep_alive_interval;
    while (!exchange.has_output() && !exchange.is_finished() && !comment) {
      if (eof_) co_return false;
      if (!co_await wake_.wait_until(deadline)) comment = Clock::now() >= deadline;
    }
  }
}

net::awaitable<bool> Connection::serve(HttpRequest request) {
  const auto self = shared_from_this();
  bool keep_alive = request.keep_alive && !hub_.draining;
  auto guard = std::make_shared<net::executor_work_guard<net::io_context::executor_type>>(
      hub_.io->get_executor());
  exchange_ = std::make_shared<Exchange>(
      std::move(request), [self] { self->wake_.notify(); }, std::move(guard));
  const std::shared_ptr<Exchange> exchange = exchange_;
  hub_.handler(exchange);
  bool sent = false;
  const auto deadline = Clock::now() + hub_.options.keep_alive_interval;
  for (;;) {
    if (exchange->response()) {
      keep_alive = keep_alive && !hub_.draining;
      sent = co_await send_response(exchange->request(), *exchange->response(), keep_alive);
      break;
    }
    if (exchange->has_output()) {
      sent = co_await send_events(*exchange, keep_alive);
      break;
    }
    if (exchange->is_finished() || eof_) break;
    const bool waits_for_event = exchange->expects_events();
    if (!co_await wake_.wait_until(waits_for_event ? deadline : Clock::time_point::max()) &&
        Clock::now() >= deadline && waits_for_event) {
      sent = co_await send_events(*exchange, keep_alive);
      break;
    }
  }
  if (!sent) exchange->cancel(Exchange::Cancel::kClientGone);
  exchange_.reset();
  co_return sent&& keep_alive;
}

/// Closing with unread bytes makes the kernel reset the connection, which can destroy the answer on
/// its way.
net::awaitable<void> Connection::linger() {
  error_code ignored;
  socket_.shutdown(net::ip::tcp::socket::shutdown_send, ignored);
  discard_ = true;
  room_.notify();
  const auto deadline = Clock::now() + kLingerTime;
  while (!eof_ && !hub_.draining && Clock::now() < deadline) co_await wake_.wait_until(deadline);
}

net::awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  socket_.set_option(net::socket_base::keep_alive(true), ignored);
  net::co_spawn(
      socket_.get_executor(), [self] { return self->read_loop(); }, net::detached);
  bool is_first = true;
  for (bool go_on = true; go_on;) {
    ReadOutcome outcome = co_await read_request(is_first);
    is_first = false;
    if (outcome.request) {
      go_on = co_await serve(std::move(*outcome.request));
      continue;
    }
    go_on = false;
    if (outcome.refusal) {
      HttpResponse answer = std::move(*outcome.refusal);
      answer.headers.add("X-Request-Id", request_id_of(outcome.refused.headers));
      co_await send_response(outcome.refused, answer, false);
    }
  }
  if (!eof_) co_await linger();
  close();
  while (!reader_done_) co_await wake_.wait_until(Clock::time_point::max());
}

}  // namespace openllm::server

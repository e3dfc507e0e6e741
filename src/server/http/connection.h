#pragma once

// Internal to the transport: only transport.cc and connection.cc include this (it brings Boost).

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/transport.h"

namespace openllm::server {

namespace net = boost::asio;

/// State that all connections share. Lives on the I/O thread.
struct Hub {
  TransportOptions options{};
  Transport::Handler handler{};
  Transport::ErrorBody error_body{};
  Transport::HeadCheck head_check{};
  std::shared_ptr<net::io_context> io{};
  bool draining = false;
};

/// A flag that one coroutine waits for.
class Event {
 public:
  explicit Event(const net::any_io_executor& executor) : timer_(executor) {}
  void notify();
  /// Waits until `notify` or `deadline`; false at the deadline. Resets the flag.
  net::awaitable<bool> wait_until(std::chrono::steady_clock::time_point deadline);

 private:
  net::steady_timer timer_;
  bool set_ = false;
};

/// One client. A reader coroutine fills `input_` for as long as the socket is open, so that a
/// client that goes away is noticed while its answer is being made; the other coroutine takes
/// requests out of it and writes the answers.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(net::ip::tcp::socket socket, Hub& hub);

  net::awaitable<void> run();
  /// The server stops: ends at once if no request is being answered or read.
  void drain();
  /// Cancels the running answer, if any.
  void cancel_answer();
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct ReadOutcome {
    std::optional<HttpRequest> request{};
    std::optional<HttpResponse> refusal{};  ///< Neither: just close.
    HttpRequest refused{};  ///< With a refusal: method and fields, as far as they were read.
  };

  net::awaitable<void> read_loop();
  net::awaitable<ReadOutcome> read_request(bool is_first);
  net::awaitable<bool> serve(HttpRequest request);
  net::awaitable<bool> send_response(const HttpRequest& request, const HttpResponse& response,
                                     bool keep_alive);
  net::awaitable<bool> send_events(Exchange& exchange, bool& keep_alive);
  net::awaitable<bool> write(std::string_view data);
  net::awaitable<void> linger();
  std::string_view buffered() const noexcept { return std::string_view(input_).substr(input_pos_); }
  void consume(std::size_t n);

  net::ip::tcp::socket socket_;
  Hub& hub_;
  Event wake_;  // news for the answering coroutine: bytes, end of input, output of the handler
  Event room_;  // input_ has been emptied
  net::steady_timer write_timer_;
  std::shared_ptr<Exchange> exchange_;
  std::string input_;
  std::size_t input_pos_ = 0;
  bool eof_ = false;
  bool discard_ = false;  // lingering: what comes is thrown away
  bool reader_done_ = false;
};

}  // namespace openllm::server

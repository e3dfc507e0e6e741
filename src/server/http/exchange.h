#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace openllm::server {

/// The X-Request-Id of the request, or a new one if it has none that can be sent back.
std::string request_id_of(const Headers& request);

/// One request and its answer: the handler fills it, the connection empties it. Knows nothing of
/// sockets. Thread safety: everything on the I/O thread, but `stop_token` may be watched from
/// anywhere.
class Exchange {
 public:
  enum class Cancel { kNo, kClientGone, kShutdown };

  /// `wake` tells the connection that there is something to send. `guard` is kept alive as long as
  /// the exchange.
  Exchange(HttpRequest request, std::function<void()> wake, std::shared_ptr<void> guard = {});

  // For the handler.

  const HttpRequest& request() const noexcept { return request_; }
  const std::string& request_id() const noexcept { return request_id_; }
  /// Gives the memory of the request's body back: an answer may take long.
  void drop_body() noexcept { request_.body = {}; }
  /// Header fields of the answer, an error's too. To be set before the answer.
  Headers& common_headers() noexcept { return common_headers_; }
  /// The whole answer. Once, and not after the first event has been sent.
  void respond(HttpResponse response);
  /// The answer will be a stream of server-sent events. Its head goes out with the first event, or
  /// before it when the wait gets long; until then `respond` may still answer with an error.
  void expect_events();
  /// True once the head of an event stream is on its way: errors can only be events now.
  bool has_begun() const noexcept { return begun_; }
  bool has_answer() const noexcept { return response_.has_value() || begun_; }
  /// `data: <data>`, after `event: <name>` if it has a name; neither may contain line ends (JSON
  /// does not).
  void send_event(std::string_view data, std::string_view name = {});
  /// Ends the answer. The handler must not use the exchange afterwards.
  void finish();
  std::stop_token stop_token() const noexcept { return stop_.get_token(); }
  Cancel cancelled() const noexcept { return cancelled_; }

  /// `co_await exchange.drained()` waits until the connection has sent most of what was written.
  class Drained {
   public:
    explicit Drained(Exchange* exchange) noexcept : exchange_(exchange) {}
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> waiter) { exchange_->waiters_.push_back(waiter); }
    void await_resume() const noexcept {}

   private:
    Exchange* exchange_;
  };
  Drained drained() noexcept { return Drained(this); }

  // For the connection.

  const std::optional<HttpResponse>& response() const noexcept { return response_; }
  const Headers& common_headers() const noexcept { return common_headers_; }
  bool expects_events() const noexcept { return expects_events_; }
  /// The head of the event stream is being sent.
  void begin_events() noexcept { begun_ = true; }
  /// Event bytes to send, in HTTP/1.1 not yet chunked.
  std::string take_output();
  bool has_output() const noexcept { return !output_.empty(); }
  bool is_finished() const noexcept { return finished_; }
  /// The bytes that `take_output` gave have been sent: handlers waiting in `drained` go on.
  void resume_waiters();
  /// Nobody will read the answer, or the server stops: asks the handler to end.
  void cancel(Cancel reason);

 private:
  HttpRequest request_;
  std::string request_id_;
  Headers common_headers_;
  std::function<void()> wake_;
  std::shared_ptr<void> guard_;
  std::stop_source stop_;
  std::optional<HttpResponse> response_;
  std::string output_;
  std::vector<std::coroutine_handle<>> waiters_;
  Cancel cancelled_ = Cancel::kNo;
  bool expects_events_ = false;
  bool begun_ = false;
  bool finished_ = false;
};

}  // namespace openllm::server

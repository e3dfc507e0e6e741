#include "server/http/exchange.h"

#include <algorithm>
#include <utility>

#include "base/random_id.h"

namespace openllm::server {
namespace {

/// Handlers stop producing above this; the stream they read from merges what comes meanwhile.
constexpr std::size_t kHighWater = 16 * 1024;
constexpr std::size_t kMaxRequestIdLength = 128;

bool is_usable_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdLength &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

std::string request_id_of(const Headers& request) {
  const std::string_view given = request.find("X-Request-Id");
  return is_usable_id(given) ? std::string(given) : base::random_id("req-");
}

Exchange::Exchange(HttpRequest request, std::function<void()> wake, std::shared_ptr<void> guard)
    : request_(std::move(request)),
      request_id_(request_id_of(request_.headers)),
      wake_(std::move(wake)),
      guard_(std::move(guard)) {
  common_headers_.add("X-Request-Id", request_id_);
}

void Exchange::respond(HttpResponse response) {
  if (has_answer()) return;
  response.headers.add(common_headers_);
  response_ = std::move(response);
  wake_();
}

void Exchange::expect_events() {
  expects_events_ = true;
  wake_();
}

void Exchange::send_event(std::string_view data, std::string_view name) {
  if (cancelled_ == Cancel::kClientGone || response_) return;
  expects_events_ = true;
  begun_ = true;
  if (!name.empty()) {
    output_ += "event: ";
    output_ += name;
    output_ += '\n';
  }
  output_ += "data: ";
  output_ += data;
  output_ += "\n\n";
  wake_();
}

void Exchange::finish() {
  finished_ = true;
  wake_();
}

bool Exchange::Drained::await_ready() const noexcept {
  return exchange_->output_.size() < kHighWater || exchange_->cancelled_ == Cancel::kClientGone;
}

std::string Exchange::take_output() { return std::exchange(output_, {}); }

void Exchange::resume_waiters() {
  for (const std::coroutine_handle<> waiter : std::exchange(waiters_, {})) waiter.resume();
}

void Exchange::cancel(Cancel reason) {
  if (reason == Cancel::kClientGone) output_.clear();
  if (cancelled_ != Cancel::kClientGone) cancelled_ = reason;
  stop_.request_stop();
  resume_waiters();
}

}  // namespace openllm::server

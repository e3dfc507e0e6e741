#include "backend/vllm/keeper.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "net/server_error.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTimeToEnd{2};
constexpr std::size_t kMaxStarts = 3;
constexpr std::chrono::minutes kStartsWithin{10};

}  // namespace

std::string quoted_lines(const StartedServer& server) {
  const std::string text = server.last_lines();
  if (text.empty()) return "it wrote nothing";
  std::string shown = "its last lines:";
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    shown += "\n  " + net::printable(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return shown;
}

Keeper::Keeper(std::unique_ptr<StartedServer> server, StartServer start,
               std::function<void(const std::string& url)> on_start)
    : start_(std::move(start)), on_start_(std::move(on_start)), server_(std::move(server)) {}

Keeper::~Keeper() { stop_.request_stop(); }

void Keeper::find_out(std::function<void(std::optional<std::string>)> tell) {
  worker_.post([this, tell = std::move(tell)] {
    if (server_ == nullptr) return tell(last_end_);
    const auto end = server_->wait_until(Clock::now() + kTimeToEnd);
    if (!end) return tell(std::nullopt);
    last_end_ =
        base::cat("the server that was started ended with ", *end, "; ", quoted_lines(*server_));
    server_.reset();
    tell(last_end_);
  });
}

/// Its address. Throws why there is none.
std::string Keeper::require_another() {
  const Clock::time_point now = Clock::now();
  while (!starts_.empty() && now - starts_.front() > kStartsWithin) starts_.pop_front();
  if (starts_.size() >= kMaxStarts) {
    base::fail(ErrorCode::kUnavailable, "vllm: no other server is started, as the last ",
               kMaxStarts, " of them ended within ", kStartsWithin.count(),
               " minutes; the last: ", last_end_);
  }
  starts_.push_back(now);
  server_.reset();
  LaunchedServer launched = start_(stop_.get_token());
  server_ = std::move(launched.process);
  on_start_(launched.url);
  return launched.url;
}

void Keeper::start_again(std::function<void(const std::string&, const base::Failure&)> tell) {
  worker_.post([this, tell = std::move(tell)] {
    try {
      tell(require_another(), {});
    } catch (const std::exception& error) {
      tell({}, base::failure_of(error));
    }
  });
}

}  // namespace openllm::backend::vllm

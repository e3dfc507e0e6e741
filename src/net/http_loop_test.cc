#include "net/http_loop.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace openllm::net {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kNobody = "http://127.0.0.1:1/";

ErrorCode code_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const Error& known) {
    return known.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(HttpLoop, CallsEndWithTheirErrorOnTheLoopsThread) {
  std::promise<std::pair<ErrorCode, bool>> ended;
  std::promise<std::thread::id> where;
  HttpLoop loop;
  loop.post([&] {
    where.set_value(std::this_thread::get_id());
    loop.start({.url = kNobody}, [&, here = std::this_thread::get_id()](HttpLoop::Result result) {
      ended.set_value({code_of(result.error), here == std::this_thread::get_id()});
    });
  });
  EXPECT_TRUE(where.get_future().get() != std::this_thread::get_id());
  EXPECT_EQ(ended.get_future().get(), std::pair(ErrorCode::kUnavailable, true));
}

TEST(HttpLoop, TasksAndTimersRunInOrderAndWhatIsCancelledDoesNot) {
  std::vector<int> order;
  std::promise<void> done;
  HttpLoop loop;
  loop.post([&] {
    const auto now = Clock::now();
    loop.start_timer(now, [&] { order.push_back(2); });
    const HttpLoop::Id gone = loop.start_timer(now, [&] { order.push_back(9); });
    loop.cancel_timer(gone);
    const HttpLoop::Id call =
        loop.start({.url = kNobody}, [&](const HttpLoop::Result&) { order.push_back(9); });
    loop.cancel(call);
    loop.start({.url = kNobody}, [&, call](const HttpLoop::Result&) {
      order.push_back(3);
      loop.cancel(call);
      done.set_value();
    });
    order.push_back(1);
  });
  done.get_future().get();
  loop.stop();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

/// Takes connections and never says anything.
class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const general = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(fd_, general, size), 0);
    EXPECT_EQ(::listen(fd_, 4), 0);
    EXPECT_EQ(::getsockname(fd_, general, &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  }
  ~SilentServer() { ::close(fd_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

  const std::string& url() const noexcept { return url_; }

 private:
  const int fd_;
  std::string url_;
};

TEST(HttpLoop, StoppingRunsWhatWasPostedAndDropsTheRest) {
  const auto held = std::make_shared<int>(0);
  const SilentServer server;
  HttpLoop loop;
  bool has_run = false;
  loop.post([&] {
    has_run = true;
    loop.start({.url = server.url()}, [held](const HttpLoop::Result&) { ++*held; });
    loop.start_timer(Clock::now() + std::chrono::hours(1), [held] { ++*held; });
  });
  loop.stop();
  EXPECT_TRUE(has_run);
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1) << "calls and timers are gone";
  loop.post([&] { ++*held; });
  EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace openllm::net

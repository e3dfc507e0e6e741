// One request and its answer, without sockets.

#include "server/http/exchange.h"

#include <gtest/gtest.h>

#include <string>

#include "server/http/detached_task.h"

namespace openllm::server {
namespace {

/// Writes events until it is told to stop, as far as the reader comes along.
DetachedTask write_events(Exchange& exchange, int& n_sent, const bool& stop) {
  const std::string kilobyte(1024, 'x');
  while (!stop && n_sent < 1000) {
    exchange.send_event(kilobyte);
    ++n_sent;
    co_await exchange.drained();
  }
}

TEST(Exchange, HandlersWaitForSlowReaders) {
  Exchange exchange({}, [] {});
  int n_sent = 0;
  bool stop = false;
  write_events(exchange, n_sent, stop);
  EXPECT_GT(n_sent, 4) << "some may wait to be sent";
  EXPECT_LT(n_sent, 40) << "but not without end";
  const int n_before = n_sent;
  EXPECT_GE(exchange.take_output().size(), static_cast<std::size_t>(n_before) * 1024);
  EXPECT_EQ(n_sent, n_before) << "not sent yet";
  exchange.resume_waiters();
  EXPECT_EQ(n_sent, 2 * n_before);
  stop = true;
  exchange.cancel(Exchange::Cancel::kClientGone);
  EXPECT_EQ(n_sent, 2 * n_before) << "the handler has ended";
}

TEST(Exchange, NobodyWaitsForAClientThatHasGone) {
  Exchange exchange({}, [] {});
  exchange.cancel(Exchange::Cancel::kClientGone);
  EXPECT_TRUE(exchange.stop_token().stop_requested());
  int n_sent = 0;
  const bool stop = false;
  write_events(exchange, n_sent, stop);
  EXPECT_EQ(n_sent, 1000);
  EXPECT_FALSE(exchange.has_output());
  EXPECT_FALSE(exchange.has_begun());
}

TEST(Exchange, OneAnswer) {
  int n_wakes = 0;
  Exchange exchange({}, [&] { ++n_wakes; });
  EXPECT_FALSE(exchange.has_answer());
  HttpResponse first;
  first.body = "first";
  exchange.common_headers().add("X-A", "b");
  exchange.respond(first);
  EXPECT_EQ(n_wakes, 1);
  HttpResponse second;
  second.body = "second";
  exchange.respond(second);
  exchange.send_event("late");
  EXPECT_EQ(exchange.response()->body, "first");
  EXPECT_EQ(exchange.response()->headers.find("x-a"), "b");
  EXPECT_EQ(exchange.response()->headers.find("x-request-id"), exchange.request_id());
  EXPECT_FALSE(exchange.has_output());
}

TEST(Exchange, AStreamThatHasBegunHasNoOtherAnswer) {
  Exchange exchange({}, [] {});
  exchange.expect_events();
  EXPECT_FALSE(exchange.has_begun()) << "it may still be an error";
  exchange.send_event("a");
  exchange.send_event("b", "name");
  EXPECT_TRUE(exchange.has_begun());
  exchange.respond({});
  EXPECT_FALSE(exchange.response());
  EXPECT_EQ(exchange.take_output(), "data: a\n\nevent: name\ndata: b\n\n");
}

TEST(Exchange, AShutdownDoesNotDropWhatIsWritten) {
  Exchange exchange({}, [] {});
  exchange.send_event("a");
  exchange.cancel(Exchange::Cancel::kShutdown);
  EXPECT_TRUE(exchange.stop_token().stop_requested());
  EXPECT_TRUE(exchange.has_output());
  exchange.cancel(Exchange::Cancel::kClientGone);
  EXPECT_EQ(exchange.cancelled(), Exchange::Cancel::kClientGone);
  exchange.cancel(Exchange::Cancel::kShutdown);
  EXPECT_EQ(exchange.cancelled(), Exchange::Cancel::kClientGone);
  EXPECT_FALSE(exchange.has_output());
}

}  // namespace
}  // namespace openllm::server

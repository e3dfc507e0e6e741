#include "llm/mailbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace openllm::llm {
namespace {

Executor inline_executor() {
  return [](const std::function<void()>& task) { task(); };
}

void add_text(Update& update, std::string_view text) {
  chat::append_segment(update.choices[0].segments, chat::SegmentKind::kContent, text);
}

std::string text_of(const Update& update) {
  const chat::Segments& segments = update.choices[0].segments;
  EXPECT_EQ(segments.size(), 1U);
  return segments.empty() ? "" : segments[0].text;
}

TEST(Mailbox, MergesWhatArrivesBetweenReads) {
  const auto mailbox = std::make_shared<Mailbox>(1, false, inline_executor());
  EXPECT_FALSE(mailbox->ready());
  mailbox->post([](Update& update) { add_text(update, "a"); });
  mailbox->post([](Update& update) { add_text(update, "b"); });
  EXPECT_EQ(text_of(mailbox->wait()), "ab");
  EXPECT_FALSE(mailbox->ready());
}

TEST(Mailbox, QuietPostsWait) {
  const auto mailbox = std::make_shared<Mailbox>(1, false, inline_executor());
  mailbox->post_quietly([](Update& update) { update.n_cached_tokens = 7; });
  EXPECT_FALSE(mailbox->ready());
  mailbox->post([](Update& /*update*/) {});
  EXPECT_EQ(mailbox->wait().n_cached_tokens, 7);
}

TEST(Mailbox, FinalOnlyWakesAtTheEnd) {
  const auto mailbox = std::make_shared<Mailbox>(1, true, inline_executor());
  mailbox->post([](Update& update) { add_text(update, "a"); });
  EXPECT_FALSE(mailbox->ready());
  mailbox->post([](Update& update) { update.finished = true; });
  EXPECT_EQ(text_of(mailbox->wait()), "a");
}

TEST(Mailbox, ErrorsWakeAFinalOnlyReader) {
  const auto mailbox = std::make_shared<Mailbox>(1, true, inline_executor());
  mailbox->post([](Update& update) { update.error = Error(ErrorCode::kInternal, "x"); });
  EXPECT_TRUE(mailbox->ready());
}

/// A coroutine that suspends on the mailbox once and notes that it was resumed.
struct Probe {
  struct promise_type {
    Probe get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
  std::coroutine_handle<promise_type> handle;
};
struct WaitForMail {
  Mailbox* mailbox;
  Mailbox::Until until;
  bool await_ready() { return mailbox->ready(until); }
  bool await_suspend(std::coroutine_handle<> handle) { return mailbox->suspend(handle, until); }
  void await_resume() {}
};
Probe probe(Mailbox* mailbox, int* resumed, Mailbox::Until until = Mailbox::Until::kUpdate) {
  co_await WaitForMail{mailbox, until};
  ++*resumed;
}

TEST(Mailbox, ResumesACoroutineThroughTheExecutor) {
  std::vector<std::function<void()>> tasks;
  const auto mailbox = std::make_shared<Mailbox>(
      1, false, [&tasks](std::function<void()> task) { tasks.push_back(std::move(task)); });
  int resumed = 0;
  Probe coroutine = probe(mailbox.get(), &resumed);
  mailbox->post([](Update& /*update*/) {});
  mailbox->post([](Update& /*update*/) {});
  EXPECT_EQ(resumed, 0);
  for (auto& task : tasks) task();
  EXPECT_EQ(resumed, 1);
  coroutine.handle.destroy();
}

TEST(Mailbox, AnAbandonedCoroutineIsNotResumed) {
  std::vector<std::function<void()>> tasks;
  const auto mailbox = std::make_shared<Mailbox>(
      1, false, [&tasks](std::function<void()> task) { tasks.push_back(std::move(task)); });
  int resumed = 0;
  Probe coroutine = probe(mailbox.get(), &resumed);
  mailbox->post([](Update& /*update*/) {});
  mailbox->abandon();
  coroutine.handle.destroy();
  for (auto& task : tasks) task();
  EXPECT_EQ(resumed, 0);
}

/// An I/O loop that has ended keeps the tasks that came too late, and every mailbox keeps the loop.
TEST(Mailbox, ATaskThatIsNeverRunKeepsNothing) {
  auto loop = std::make_shared<std::vector<std::function<void()>>>();
  auto mailbox = std::make_shared<Mailbox>(
      1, false, [loop](std::function<void()> task) { loop->push_back(std::move(task)); });
  int resumed = 0;
  Probe coroutine = probe(mailbox.get(), &resumed);
  mailbox->post([](Update& /*update*/) {});
  ASSERT_EQ(loop->size(), 1U);
  coroutine.handle.destroy();
  const std::weak_ptr<Mailbox> seen_mailbox = mailbox;
  const std::weak_ptr<std::vector<std::function<void()>>> seen_loop = loop;
  mailbox.reset();
  loop.reset();
  EXPECT_TRUE(seen_mailbox.expired());
  EXPECT_TRUE(seen_loop.expired());
}

TEST(Mailbox, ASecondCoroutineMayNotWait) {
  const auto mailbox = std::make_shared<Mailbox>(1, false, [](auto task) { task(); });
  int resumed = 0;
  Probe coroutine = probe(mailbox.get(), &resumed);
  EXPECT_THROW(mailbox->suspend(std::noop_coroutine()), Error);
  mailbox->post([](Update& /*update*/) {});
  EXPECT_EQ(resumed, 1) << "the first one still waits";
  coroutine.handle.destroy();
}

TEST(Mailbox, AcceptanceIsNotNewsAndNewsIsNotAcceptance) {
  using Until = Mailbox::Until;
  const auto mailbox = std::make_shared<Mailbox>(1, false, inline_executor());
  int n_accepted = 0;
  int n_updates = 0;
  Probe first = probe(mailbox.get(), &n_accepted, Until::kAccepted);
  mailbox->post([](Update& update) { add_text(update, "a"); });
  EXPECT_EQ(n_accepted, 0);
  mailbox->post_accepted();
  EXPECT_EQ(n_accepted, 1);
  EXPECT_EQ(text_of(mailbox->wait()), "a");
  EXPECT_TRUE(mailbox->ready(Until::kAccepted));
  Probe second = probe(mailbox.get(), &n_updates, Until::kUpdate);
  mailbox->post_accepted();
  EXPECT_EQ(n_updates, 0);
  mailbox->post([](Update& /*update*/) {});
  EXPECT_EQ(n_updates, 1);
  first.handle.destroy();
  second.handle.destroy();
}

TEST(Mailbox, ARefusalDecidesAcceptanceToo) {
  using Until = Mailbox::Until;
  const auto mailbox = std::make_shared<Mailbox>(1, true, inline_executor());
  EXPECT_FALSE(mailbox->ready(Until::kAccepted));
  EXPECT_FALSE(mailbox->is_refused());
  int resumed = 0;
  Probe coroutine = probe(mailbox.get(), &resumed, Until::kAccepted);
  mailbox->post([](Update& update) { update.error = Error(ErrorCode::kBusy, "x"); });
  EXPECT_EQ(resumed, 1);
  EXPECT_TRUE(mailbox->is_refused());
  EXPECT_EQ(mailbox->wait().error->code(), ErrorCode::kBusy);
  coroutine.handle.destroy();
}

TEST(Mailbox, NothingIsLostBetweenThreads) {
  const auto mailbox = std::make_shared<Mailbox>(1, false, inline_executor());
  static constexpr int kPosts = 20000;
  std::thread writer([&] {
    for (int i = 0; i < kPosts; ++i) {
      mailbox->post([i](Update& update) {
        update.choices[0].token_ids.push_back(i);
        update.finished = i == kPosts - 1;
      });
    }
  });
  std::vector<std::int32_t> got;
  bool finished = false;
  while (!finished) {
    const Update update = mailbox->wait();
    got.insert(got.end(), update.choices[0].token_ids.begin(), update.choices[0].token_ids.end());
    finished = update.finished;
  }
  writer.join();
  ASSERT_EQ(got.size(), static_cast<std::size_t>(kPosts));
  for (int i = 0; i < kPosts; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

TEST(Mailbox, AFailureAfterAcceptanceIsNoRefusal) {
  const auto mailbox = std::make_shared<Mailbox>(1, false, inline_executor());
  mailbox->post_accepted();
  mailbox->post([](Update& update) { update.error = Error(ErrorCode::kInternal, "x"); });
  EXPECT_FALSE(mailbox->is_refused());
}

}  // namespace
}  // namespace openllm::llm

#include "openllm/task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace openllm {
namespace {

ErrorCode code_of(Task<void>& task) {
  try {
    task.get();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "it ran";
  return ErrorCode::kInternal;
}

Task<void> append(std::string& log, std::string text) {
  log += text;
  co_return;
}

Task<void> fail(std::string text) {
  if (!text.empty()) throw std::runtime_error(text);
  co_return;
}

TEST(Task, WithoutAResultRunsWhenAskedAndOnce) {
  std::string log;
  Task<void> task = append(log, "a");
  EXPECT_EQ(log, "") << "it is not started by its call";
  task.get();
  EXPECT_EQ(log, "a");
  EXPECT_EQ(code_of(task), ErrorCode::kInvalidArgument);
  EXPECT_EQ(log, "a");
}

TEST(Task, WithoutAResultThatIsNeverAskedIsDestroyed) {
  std::string log;
  { const Task<void> task = append(log, "a"); }
  EXPECT_EQ(log, "");
}

TEST(Task, WithoutAResultThatWasMovedFromIsEmpty) {
  std::string log;
  Task<void> task = append(log, "a");
  Task<void> other = std::move(task);
  EXPECT_EQ(code_of(task), ErrorCode::kInvalidArgument);  // NOLINT(*-use-after-move)
  other.get();
  EXPECT_EQ(log, "a");
  other = append(log, "b");
  other.get();
  EXPECT_EQ(log, "ab");
}

Task<void> await_both(std::string& log) {
  Task<void> first = append(log, "a");
  Task<void> second = append(log, "b");
  co_await std::move(second);
  co_await std::move(first);
  log += "c";
}

TEST(Task, WithoutAResultIsAwaited) {
  std::string log;
  await_both(log).get();
  EXPECT_EQ(log, "bac");
}

Task<void> await_twice(std::string& log) {
  Task<void> task = append(log, "a");
  co_await std::move(task);
  co_await std::move(task);  // NOLINT(*-use-after-move)
}

TEST(Task, WithoutAResultIsAwaitedOnce) {
  std::string log;
  Task<void> task = await_twice(log);
  EXPECT_EQ(code_of(task), ErrorCode::kInvalidArgument);
  EXPECT_EQ(log, "a");
}

Task<int> catch_failure(std::string text) {
  Task<void> failing = fail(std::move(text));
  try {
    co_await std::move(failing);
  } catch (const std::runtime_error& error) {
    co_return std::stoi(error.what());
  }
  co_return 0;
}

TEST(Task, WithoutAResultThrowsWhatItThrew) {
  EXPECT_THROW(fail("x").get(), std::runtime_error);
  EXPECT_NO_THROW(fail("").get());
  EXPECT_EQ(catch_failure("7").get(), 7);
  EXPECT_EQ(catch_failure("").get(), 0);
}

/// Resumes the awaiting coroutine on a thread of its own.
struct OnOtherThread {
  std::thread& thread;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    thread = std::thread([waiter] { waiter.resume(); });
  }
  void await_resume() const noexcept {}
};

Task<void> end_on(std::thread& thread, std::thread::id& id) {
  co_await OnOtherThread{thread};
  id = std::this_thread::get_id();
}

TEST(Task, GetWaitsForAnotherThread) {
  for (int i = 0; i < 100; ++i) {
    std::thread thread;
    std::thread::id id;
    end_on(thread, id).get();
    EXPECT_NE(id, std::this_thread::get_id());
    EXPECT_NE(id, std::thread::id());
    thread.join();
  }
}

Task<void> await_by_name(std::string& log) {
  Task<void> task = append(log, "a");
  co_await task;
}

TEST(Task, IsAwaitedWithoutAMove) {
  std::string log;
  await_by_name(log).get();
  EXPECT_EQ(log, "a");
}

}  // namespace
}  // namespace openllm

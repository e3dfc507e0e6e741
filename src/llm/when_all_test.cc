#include "openllm/when_all.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "openllm/llm.h"

namespace openllm {
namespace {

using testing::ElementsAre;

/// Suspends until `open`, which may be called from any thread, once.
class Gate {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting_ = handle; }
  void await_resume() const noexcept {}
  bool is_reached() const noexcept { return static_cast<bool>(waiting_); }
  void open() { std::exchange(waiting_, {}).resume(); }

 private:
  std::coroutine_handle<> waiting_{};
};

Task<int> number(int value) { co_return value; }
Task<std::string> fail(std::string what) {
  if (!what.empty()) throw std::runtime_error(what);
  co_return "none";
}
Task<void> pass(Gate& gate, std::string& log, std::string name) {
  log += name;
  co_await gate;
  log += name;
}

TEST(WhenAll, GivesResultsOfSeveralKinds) {
  std::string log;
  const auto all = [&]() -> Task<std::string> {
    auto text = []() -> Task<std::unique_ptr<std::string>> {
      co_return std::make_unique<std::string>("b");
    };
    auto nothing = [](std::string& to) -> Task<void> {
      to += "c";
      co_return;
    };
    auto [a, b, c] = co_await when_all(number(5), text(), nothing(log));
    static_assert(std::is_same_v<decltype(c), std::monostate>);
    co_return std::to_string(a) + *b + log;
  };
  EXPECT_EQ(all().get(), "5bc");
  when_all().get();
}

TEST(WhenAll, GivesManyResultsInOrder) {
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(number(i));
  EXPECT_THAT(when_all(std::move(tasks)).get(), ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(when_all(std::vector<Task<int>>()).get().empty());
}

/// Opens the gates in the other order, once all tasks have come to theirs.
Task<void> open(Gate& first, Gate& second, std::string& log) {
  EXPECT_TRUE(first.is_reached() && second.is_reached()) << "they start one after the other";
  log += "|";
  second.open();
  first.open();
  co_return;
}

TEST(WhenAll, StartsEveryTaskBeforeTheFirstHasEnded) {
  Gate first;
  Gate second;
  std::string log;
  const auto body = [&]() -> Task<void> {
    co_await when_all(pass(first, log, "a"), pass(second, log, "b"), open(first, second, log));
    log += "!";
  };
  body().get();
  EXPECT_EQ(log, "ab|ba!");
}

TEST(WhenAll, RequestsOfAnLlmRunTogether) {
  const LLM llm(std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf", {.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 8, .temperature = 0.0F};
  std::vector<Task<GenerationOutput>> tasks;
  std::vector<std::string> expected;
  for (const char* prompt : {"Once", "Lily", "The"}) {
    expected.push_back(llm.generate(prompt, options).outputs[0].text);
    tasks.push_back(llm.async_generate(prompt, options));
  }
  std::vector<std::string> texts;
  for (const GenerationOutput& output : when_all(std::move(tasks)).get())
    texts.push_back(output.outputs[0].text);
  EXPECT_EQ(texts, expected);
}

TEST(WhenAll, WaitsForAllAndThrowsTheFirstFailureInOrder) {
  const auto message = [](auto task) -> std::string {
    try {
      task.get();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(when_all(number(1), fail("b"), fail("c"))), "b");
  std::vector<Task<std::string>> tasks;
  for (const char* what : {"", "x", "y"}) tasks.push_back(fail(what));
  EXPECT_EQ(message(when_all(std::move(tasks))), "x");
}

TEST(WhenAll, ATaskThatRanIsAFailure) {
  Task<int> task = number(1);
  EXPECT_EQ(task.get(), 1);
  std::vector<Task<int>> tasks;
  tasks.push_back(std::move(task));
  tasks.push_back(number(2));
  EXPECT_THROW(when_all(std::move(tasks)).get(), Error);
}

}  // namespace
}  // namespace openllm

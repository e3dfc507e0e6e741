// When a request is told that it has started.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "engine/test_bench.h"

namespace openllm::engine::test {
namespace {

class StartSink final : public RecordingSink {
 public:
  using RecordingSink::RecordingSink;
  void on_start(base::Clock::TimePoint when) noexcept override {
    starts.push_back(when);
    for (const auto& list : tokens) was_first = was_first && list.empty();
    was_first = was_first && prompt.empty() && n_logit_rows == 0;
  }

  std::vector<base::Clock::TimePoint> starts;
  bool was_first = true;
};

std::shared_ptr<StartSink> submit(Bench& bench, Request request) {
  auto sink = std::make_shared<StartSink>(request.n_choices);
  request.sink = sink;
  bench.engine.submit(std::move(request));
  return sink;
}

TEST(Start, IsToldOnceAndBeforeAllElse) {
  Bench bench;
  Request several = make_request("several", 9, 5);
  several.n_choices = 3;
  several.n_prompt_logprobs = 1;
  const auto first = submit(bench, several);
  const auto began = bench.clock.time;
  while (first->tokens[0].empty()) bench.engine.step();
  bench.clock.time += std::chrono::seconds(3);
  const auto second = submit(bench, make_request("second", 4, 2));
  bench.run_all();
  EXPECT_TRUE(first->was_first && second->was_first);
  EXPECT_EQ(first->starts, std::vector{began});
  EXPECT_EQ(second->starts, std::vector{began + std::chrono::seconds(3)});
}

TEST(Start, IsNotToldOfRequestsThatNeverRan) {
  Bench bench;
  const auto sink = submit(bench, make_request("late", 4, 2));
  bench.engine.cancel("late");
  bench.run_all();
  EXPECT_TRUE(sink->starts.empty());
  EXPECT_EQ(sink->n_ends[0], 1);
}

}  // namespace
}  // namespace openllm::engine::test

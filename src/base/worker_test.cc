#include "base/worker.h"

#include <atomic>
#include <future>
#include <latch>
#include <vector>

#include <gmock/gmock.h>

namespace openllm::base {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kSmall = TwoPriorityPool::kMaxSmallBytes;

TEST(TwoPriorityPool, SmallTasksDoNotWaitForLargeOnes) {
  std::latch gate(1);
  std::atomic<bool> large_done = false;
  TwoPriorityPool lanes;
  lanes.post(kSmall + 1, [&] {
    gate.wait();
    large_done = true;
  });
  std::promise<bool> small;
  lanes.post(kSmall, [&] { small.set_value(large_done); });
  EXPECT_FALSE(small.get_future().get()) << "would wait for ever behind the large one";
  gate.count_down();
}

TEST(TwoPriorityPool, InOrderWithinEach) {
  std::vector<int> small, large;
  {
    TwoPriorityPool lanes;
    for (int i = 0; i < 5; ++i) {
      lanes.post(0, [&small, i] { small.push_back(i); });
      lanes.post(1 << 20, [&large, i] { large.push_back(i); });
    }
  }
  EXPECT_THAT(small, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(large, ElementsAre(0, 1, 2, 3, 4));
}

TEST(TwoPriorityPool, ATaskMayDestroyThem) {
  std::promise<void> done;
  std::latch posted(1);  // nobody may still be within `post`
  auto lanes = std::make_shared<TwoPriorityPool>();
  lanes->post(0, [] {});
  lanes->post(1 << 20, [&, last = lanes]() mutable {
    posted.wait();
    last.reset();
    done.set_value();
  });
  lanes.reset();
  posted.count_down();
  done.get_future().get();
}

}  // namespace
}  // namespace openllm::base

#include "base/worker.h"

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <thread>
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

TEST(Worker, ASlowTaskDelaysNoOtherWhileThereMayBeMoreThreads) {
  std::latch gate(1);
  std::atomic<int> n_done{0};
  {
    Worker worker(ThreadRole::kServing, 3);
    for (int i = 0; i < 2; ++i) {
      worker.post([&] {
        gate.wait();
        ++n_done;
      });
    }
    std::promise<bool> third;
    worker.post([&] { third.set_value(thread_role() == ThreadRole::kServing); });
    EXPECT_TRUE(third.get_future().get()) << "would wait for ever behind the others";
    EXPECT_EQ(n_done, 0);
    gate.count_down();
  }
  EXPECT_EQ(n_done, 2) << "its end waits for all";
  EXPECT_EQ(thread_role(), ThreadRole::kForeign);
}

TEST(Worker, HasNoMoreThreadsThanItMay) {
  std::atomic<int> n_running{0};
  std::atomic<int> most{0};
  {
    Worker worker(ThreadRole::kForeign, 2);
    for (int i = 0; i < 200; ++i) {
      worker.post([&] {
        const int now = ++n_running;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --n_running;
      });
    }
  }
  EXPECT_GE(most, 1);
  EXPECT_LE(most, 2);
}

TEST(Worker, KnowsItsOwnThreads) {
  Worker worker;
  EXPECT_FALSE(worker.runs_here());
  std::promise<bool> inside;
  worker.post([&] { inside.set_value(worker.runs_here()); });
  EXPECT_TRUE(inside.get_future().get());
}

}  // namespace
}  // namespace openllm::base

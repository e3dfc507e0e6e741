#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace openllm::base {
namespace {

TEST(ThreadTeam, RunsEveryChunkOnce) {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadTeam team(n_threads);
    EXPECT_EQ(team.n_threads(), n_threads);
    for (const std::size_t n : {0U, 1U, 2U, 3U, 7U, 100U, 1000U}) {
      std::vector<std::atomic<int>> hits(n);
      team.run(n, [&](std::size_t i) { hits[i].fetch_add(1); });
      for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
    }
  }
}

TEST(ThreadTeam, AtLeastOneThreadByDefault) { EXPECT_GE(ThreadTeam(0).n_threads(), 1); }

// What a region writes is visible to the next one and to the caller without further
// synchronisation: every chunk reads what another one, of whatever thread, wrote before.
TEST(ThreadTeam, RegionsAreOrdered) {
  ThreadTeam team(4);
  std::vector<int> values(64, 0);
  std::vector<int> next(values.size());
  for (int round = 1; round <= 3000; ++round) {
    team.run(values.size(), [&](std::size_t i) {
      const std::size_t other = (i * 7 + static_cast<std::size_t>(round)) % values.size();
      next[i] = values[other] + 1;
    });
    values.swap(next);
    ASSERT_EQ(values[static_cast<std::size_t>(round) % values.size()], round);
  }
  for (const int value : values) EXPECT_EQ(value, 3000);
}

TEST(ThreadTeam, WakesSleepingWorkers) {
  ThreadTeam team(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // longer than any spin
    std::atomic<int> sum{0};
    team.run(50, [&](std::size_t i) { sum.fetch_add(static_cast<int>(i)); });
    EXPECT_EQ(sum.load(), 49 * 50 / 2);
  }
}

// A slow chunk in a worker makes the caller sleep; it must still see the region's end.
TEST(ThreadTeam, CallerSleepsWhileAChunkRuns) {
  ThreadTeam team(2);
  std::atomic<int> ended{0};
  team.run(2, [&](std::size_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ended.fetch_add(1);
  });
  EXPECT_EQ(ended.load(), 2);
}

// The worker may be stuck in the first region's chunk for long: the caller does all the rest alone.
TEST(ThreadTeam, CallerTakesWhatAWorkerDoesNot) {
  ThreadTeam team(2);
  std::atomic<int> done{0};
  team.run(100, [&](std::size_t i) {
    if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    done.fetch_add(1);
  });
  EXPECT_EQ(done.load(), 100);
}

TEST(ThreadTeam, ManyTinyRegions) {
  ThreadTeam team(4);
  std::atomic<std::uint64_t> sum{0};
  for (int round = 0; round < 20000; ++round) {
    team.run(3, [&](std::size_t i) { sum.fetch_add(i + 1, std::memory_order_relaxed); });
  }
  EXPECT_EQ(sum.load(), 20000U * 6U);
}

}  // namespace
}  // namespace openllm::base

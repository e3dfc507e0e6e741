#include "base/cpu_turns.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

namespace openllm::base {
namespace {

thread_local std::int64_t my_switches = 0;
std::int64_t count_of_this_thread() { return my_switches; }

cpu_set_t cpus_of_this_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  return set;
}

/// Threads for all CPUs but one, which give way until it ends; the tests' own thread is the caller.
class Team {
 public:
  explicit Team(int n_workers) : turns(n_workers, count_of_this_thread) {
    for (int i = 0; i < n_workers; ++i) {
      threads_.emplace_back([this, i] {
        turns.enter(i);
        n_entered_.fetch_add(1);
        while (!stop_.load()) {
          my_switches += worker_switches.load();
          turns.give_way(i);
          std::this_thread::sleep_for(std::chrono::milliseconds(3));
        }
      });
    }
    while (n_entered_.load() < n_workers) std::this_thread::yield();
  }
  ~Team() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Works for 150 ms, which the caller's looks lie within.
  void work(std::int64_t switches_of_caller) {
    for (int i = 0; i < 15; ++i) {
      my_switches += switches_of_caller;
      turns.watch();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  CpuTurns turns;
  std::atomic<int> worker_switches{0};

 private:
  std::atomic<int> n_entered_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

TEST(CpuTurns, ACrowdIsMoreThanTheKernelsOwnThreads) {
  EXPECT_FALSE(is_crowded(0));
  EXPECT_FALSE(is_crowded(20));
  EXPECT_TRUE(is_crowded(125));
}

TEST(CpuTurns, ChangesPlacesWithTheQuietestWorkerIfThatBringsMuch) {
  const std::vector<double> rates = {120, 10, 0, 125};
  EXPECT_EQ(quieter_worker(125, rates), 2);
  EXPECT_EQ(quieter_worker(20, rates), -1) << "nobody else is there";
  const std::vector<double> all_crowded = {120, 125};
  EXPECT_EQ(quieter_worker(125, all_crowded), -1);
  EXPECT_EQ(quieter_worker(125, {}), -1);
}

TEST(CpuTurns, BindsWorkersApartFromTheCallerWhileOthersTakeItsCpu) {
  const cpu_set_t before = cpus_of_this_thread();
  const int n_workers = CPU_COUNT(&before) - 1;
  if (n_workers == 0) GTEST_SKIP() << "one CPU";
  Team team(n_workers);
  team.work(0);
  for (int i = 0; i < n_workers; ++i) EXPECT_EQ(team.turns.bound_to(i), -1) << "no crowd";

  for (int round = 0; round < 100 && team.turns.bound_to(0) < 0; ++round) team.work(10);
  // Whoever else uses this machine may move the caller at any time: until it is seen once.
  std::set<int> cpus;
  for (int round = 0; round < 100 && cpus.size() <= static_cast<std::size_t>(n_workers); ++round) {
    team.turns.watch();
    cpus = {sched_getcpu()};
    for (int i = 0; i < n_workers; ++i) cpus.insert(team.turns.bound_to(i));
  }
  EXPECT_EQ(cpus.size(), static_cast<std::size_t>(n_workers) + 1) << "each its own";
  EXPECT_EQ(cpus.count(-1), 0U);

  const cpu_set_t after = cpus_of_this_thread();
  EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "the caller may go where it could before";
}

TEST(CpuTurns, LetsWorkersGoWhenTheCrowdIsGone) {
  const cpu_set_t all = cpus_of_this_thread();
  const int n_workers = CPU_COUNT(&all) - 1;
  if (n_workers == 0) GTEST_SKIP() << "one CPU";
  Team team(n_workers);
  team.worker_switches.store(10);
  for (int round = 0; round < 100 && team.turns.bound_to(0) < 0; ++round) team.work(0);
  EXPECT_GE(team.turns.bound_to(0), 0) << "a crowd around workers counts too";
  team.worker_switches.store(0);
  for (int round = 0; round < 200 && team.turns.bound_to(0) >= 0; ++round) team.work(0);
  EXPECT_EQ(team.turns.bound_to(0), -1);
}

TEST(CpuTurns, BindsNobodyWhereCpusAreLeft) {
  const cpu_set_t all = cpus_of_this_thread();
  const int n_workers = CPU_COUNT(&all);  // one thread too many
  Team team(n_workers);
  for (int round = 0; round < 3; ++round) team.work(10);
  for (int i = 0; i < n_workers; ++i) EXPECT_EQ(team.turns.bound_to(i), -1);
}

}  // namespace
}  // namespace openllm::base

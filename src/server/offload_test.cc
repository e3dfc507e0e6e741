#include "server/offload.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace openllm::server {
namespace {

TEST(Offload, SmallWorkIsDoneInPlace) {
  base::Worker worker;
  const Executor executor;
  int n_runs = 0;
  const std::function<void()> work = [&n_runs] { ++n_runs; };
  constexpr std::size_t kMost = base::TwoPriorityPool::kMaxSmallBytes;
  Offload small(worker, executor, kMost, work);
  EXPECT_TRUE(small.await_ready());
  EXPECT_EQ(n_runs, 1);
  Offload large(worker, executor, kMost + 1, work);
  EXPECT_FALSE(large.await_ready());
  EXPECT_EQ(n_runs, 1) << "the I/O thread has others to serve";
}

TEST(Offload, WhatTheWorkThrowsComesOut) {
  base::Worker worker;
  const Executor executor;
  const std::function<void()> work = [] { throw std::runtime_error("mine"); };
  Offload offload(worker, executor, 0, work);
  EXPECT_TRUE(offload.await_ready());
  EXPECT_THROW(offload.await_resume(), std::runtime_error);
}

}  // namespace
}  // namespace openllm::server

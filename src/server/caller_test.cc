#include "server/caller.h"

#include <gtest/gtest.h>

namespace openllm::server {
namespace {

using std::chrono::milliseconds;

TEST(BoundedTime, IsWhatWasAskedForUpToTheServersLimit) {
  EXPECT_EQ(bounded_time(std::nullopt, 0), std::nullopt);
  EXPECT_EQ(bounded_time(milliseconds(5), 0), milliseconds(5));
  EXPECT_EQ(bounded_time(std::nullopt, 2), milliseconds(2000));
  EXPECT_EQ(bounded_time(milliseconds(5), 2), milliseconds(5));
  EXPECT_EQ(bounded_time(milliseconds(5000), 2), milliseconds(2000));
  EXPECT_EQ(bounded_time(std::nullopt, 31536000), milliseconds(31536000000));
}

}  // namespace
}  // namespace openllm::server

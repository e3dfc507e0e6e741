#include "base/nearest.h"

#include <gtest/gtest.h>

namespace openllm::base {
namespace {

TEST(EditDistance, CountsTypingErrors) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("stroy", "story"), 1U);  // neighbours swapped
  EXPECT_EQ(edit_distance("Story", "sTORY"), 0U);
  EXPECT_EQ(edit_distance("--temprature", "--temperature"), 1U);
}

TEST(Nearest, TakesTheClosestOrNone) {
  const std::vector<std::string> known{"run", "start", "query", "models"};
  EXPECT_EQ(nearest("rum", known), "run");
  EXPECT_EQ(nearest("strat", known), "start");
  EXPECT_EQ(nearest("model", known), "models");
  EXPECT_EQ(nearest("frobnicate", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest("x", {}), std::nullopt);
  EXPECT_EQ(nearest(std::string(100000, 'r'), known), std::nullopt);
}

}  // namespace
}  // namespace openllm::base

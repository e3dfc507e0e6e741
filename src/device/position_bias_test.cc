#include "device/position_bias.h"

#include <gtest/gtest.h>

namespace openllm::device {
namespace {

// Expected values: transformers 5.24, T5Attention._relative_position_bucket with 32 buckets and
// distance 128.
TEST(PositionBias, BucketsOfT5) {
  PositionBiasSpec spec{
      .kind = PositionBiasSpec::Kind::kBuckets, .n_buckets = 32, .max_distance = 128};
  const std::vector<std::pair<int, int>> causal = {
      {-1000, 31}, {-128, 31}, {-127, 31}, {-100, 30}, {-64, 26}, {-33, 21}, {-32, 21},
      {-17, 16},   {-16, 16},  {-15, 15},  {-8, 8},    {-1, 1},   {0, 0},    {1, 0},
      {7, 0},      {8, 0},     {16, 0},    {50, 0},    {127, 0},  {128, 0},  {5000, 0}};
  for (const auto& [distance, bucket] : causal) {
    EXPECT_EQ(position_bucket(spec, distance), bucket) << distance;
  }
  spec.bidirectional = true;
  const std::vector<std::pair<int, int>> both = {
      {-1000, 15}, {-128, 15}, {-127, 15}, {-100, 15}, {-64, 14}, {-33, 12}, {-32, 12},
      {-17, 10},   {-16, 10},  {-15, 9},   {-8, 8},    {-1, 1},   {0, 0},    {1, 17},
      {7, 23},     {8, 24},    {16, 26},   {50, 29},   {127, 31}, {128, 31}, {5000, 31}};
  for (const auto& [distance, bucket] : both) {
    EXPECT_EQ(position_bucket(spec, distance), bucket) << distance;
  }
}

TEST(PositionBias, RowsHaveABiasForEachKey) {
  HostPositionBias bias({.slopes = {1.0F, -2.0F}}, {});
  bias.reserve(3);
  EXPECT_EQ(bias.row(0, 2)[0], -2.0F);
  EXPECT_EQ(bias.row(0, 2)[3], 1.0F);
  EXPECT_EQ(bias.row(1, 2)[0], 4.0F);
  bias.reserve(1000);
  EXPECT_EQ(bias.row(1, 999)[0], 1998.0F);
  EXPECT_EQ(bias.row(1, 0)[1000], -2000.0F);
}

TEST(PositionBias, SlopesByDistanceAreTheSameToBothSides) {
  HostPositionBias bias({.slopes = {1.0F, 0.5F}, .by_distance = true}, {});
  bias.reserve(5);
  EXPECT_EQ(bias.row(0, 2)[0], -2.0F);
  EXPECT_EQ(bias.row(0, 2)[2], 0.0F);
  EXPECT_EQ(bias.row(1, 2)[4], -1.0F);
}

/// Kernels read whole units of keys: some behind the last one.
TEST(PositionBias, RowsGoOnBehindTheLastKey) {
  HostPositionBias bias({.slopes = {1.0F, -2.0F}}, {});
  for (int length = 1; length < 700; length += 37) {
    bias.reserve(length);
    EXPECT_EQ(bias.row(0, 0)[length + 63], static_cast<float>(length + 63)) << length;
    EXPECT_EQ(bias.row(1, length - 1)[0], 2.0F * static_cast<float>(length - 1)) << length;
  }
}

}  // namespace
}  // namespace openllm::device

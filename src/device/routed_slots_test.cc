#include "device/routed_slots.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace openllm::device {
namespace {

RoutedSlots route(const RouterSpec& spec, const std::vector<std::vector<float>>& scores,
                  const float* bias = nullptr) {
  RoutedSlots slots(spec);
  slots.resize(static_cast<std::int64_t>(scores.size()));
  for (std::size_t t = 0; t < scores.size(); ++t) {
    slots.choose(static_cast<std::int64_t>(t), scores[t].data(), bias);
  }
  slots.sort();
  return slots;
}

TEST(RoutedSlots, SlotsAreSortedByExpertThenRow) {
  const RoutedSlots slots = route({.n_experts = 3, .top_k = 2}, {{0, 2, 1}, {5, 1, 1}, {1, 0, 3}});
  EXPECT_EQ(slots.begin(0), 0);
  EXPECT_EQ(slots.begin(1), 2);  // rows 1 and 2
  EXPECT_EQ(slots.begin(2), 4);  // rows 0 and 1: of equal scores the lower number
  EXPECT_EQ(slots.begin(3), 6);
  const std::vector<std::int64_t> rows = {1, 2, 0, 1, 0, 2};
  for (std::int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(slots.row_of(i), rows[static_cast<std::size_t>(i)]);
  EXPECT_EQ(slots.slot(0, 0).index, 2);
  EXPECT_EQ(slots.slot(0, 1).index, 4);
  const float first = std::exp(2.0F) / (std::exp(2.0F) + std::exp(1.0F));
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, first);
  EXPECT_FLOAT_EQ(slots.slot(0, 1).weight, 1.0F - first);
}

TEST(RoutedSlots, WeightsMayBeLeftAsTheyAreAndScaled) {
  const RoutedSlots slots =
      route({.n_experts = 2, .top_k = 1, .normalise = false, .scale = 4.0F}, {{0, 0}});
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 2.0F);
}

TEST(RoutedSlots, SparseMixerWeighsAmongNearScores) {
  // 4 and 3.5 are near to each other, 1 is far from both; without 4, 3.5 is alone.
  const RoutedSlots slots =
      route({.n_experts = 3, .top_k = 2, .score = RouterSpec::Score::kSparseMixer, .jitter = 0.1F},
            {{1, 4, 3.5F}});
  EXPECT_EQ(slots.begin(1), 0);
  EXPECT_EQ(slots.begin(2), 1);
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 1.0F / (1.0F + std::exp(-0.5F)));
  EXPECT_FLOAT_EQ(slots.slot(0, 1).weight, 1.0F);
}

TEST(RoutedSlots, WeightsMayGoToTheInput) {
  const RoutedSlots slots = route({.n_experts = 2,
                                   .top_k = 1,
                                   .score = RouterSpec::Score::kSigmoid,
                                   .normalise = false,
                                   .weighs_input = true},
                                  {{0, -1}, {-2, 1}});
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 1.0F);
  EXPECT_FLOAT_EQ(slots.input_weight(0), 0.5F);
  EXPECT_FLOAT_EQ(slots.input_weight(1), 1.0F / (1.0F + std::exp(-1.0F)));
  EXPECT_FLOAT_EQ(route({.n_experts = 2, .top_k = 1}, {{0, 0}}).input_weight(0), 1.0F);
}

TEST(RoutedSlots, WeightsThatAddUpToTheScale) {
  const RoutedSlots slots =
      route({.n_experts = 3, .top_k = 2, .normalise = true, .scale = 2.5F}, {{1, 1, 0}});
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 1.25F);
  EXPECT_FLOAT_EQ(slots.slot(0, 1).weight, 1.25F);
}

TEST(RoutedSlots, ExpertsMayHaveGains) {
  const RoutedSlots slots =
      route({.n_experts = 3, .top_k = 2, .gains = {2.0F, 0.5F, 3.0F}}, {{0, 1, 1}});
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 0.25F);
  EXPECT_FLOAT_EQ(slots.slot(0, 1).weight, 1.5F);
}

TEST(RoutedSlots, WhatIsNoNumberComesLast) {
  const float nan = std::nanf("");
  const RouterSpec spec{
      .n_experts = 4, .top_k = 2, .score = RouterSpec::Score::kSigmoid, .normalise = false};
  for (std::size_t at = 0; at < 4; ++at) {
    std::vector<float> scores = {1, 1, 1, 1};
    scores[at] = nan;
    const RoutedSlots slots = route(spec, {scores});
    const auto expert = static_cast<int>(at);
    EXPECT_EQ(slots.begin(expert + 1) - slots.begin(expert), 0) << at;
    EXPECT_EQ(slots.begin(4), 2) << at;
  }
}

TEST(RoutedSlots, BiasChoosesButDoesNotWeigh) {
  const float bias[] = {0, 10, 0};
  const RoutedSlots slots =
      route({.n_experts = 3, .top_k = 1, .score = RouterSpec::Score::kSigmoid, .normalise = false},
            {{3, 0, 2}}, bias);
  EXPECT_EQ(slots.begin(2) - slots.begin(1), 1);
  EXPECT_FLOAT_EQ(slots.slot(0, 0).weight, 0.5F);
}

TEST(RoutedSlots, GroupsAreChosenFirst) {
  RouterSpec spec{.n_experts = 4, .top_k = 2};
  spec.n_groups = 2;
  spec.top_groups = 1;
  const std::vector<std::vector<float>> scores = {{5, 0, 4, 4}};
  EXPECT_EQ(route(spec, scores).begin(2), 2);  // the group with the best one: experts 0 and 1
  spec.score = RouterSpec::Score::kSigmoid;
  spec.group_score = RouterSpec::GroupScore::kBestTwo;
  EXPECT_EQ(route(spec, scores).begin(2), 0);  // the two best together: experts 2 and 3
  // Of groups of one there is no second best.
  spec.n_groups = 4;
  spec.top_groups = 2;
  const RoutedSlots slots = route(spec, {{1, 2, 3, 0}});
  EXPECT_EQ(slots.begin(1), 0);
  EXPECT_EQ(slots.begin(3), 2);
}

}  // namespace
}  // namespace openllm::device

#include "engine/step_costs.h"

#include <gtest/gtest.h>

#include <random>

namespace openllm::engine {
namespace {

constexpr StepCosts kTrue{.fixed = 8e-3,
                          .decode_row = 6e-4,
                          .decode_key = 4e-7,
                          .prompt_row_beside = 2e-3,
                          .prompt_row_alone = 1.2e-3,
                          .prompt_key = 3e-7};

/// Steps as they come: of decodes alone, beside a chunk, and of chunks alone.
StepShape random_shape(std::mt19937& random) {
  const auto pick = [&](int low, int high) {
    return static_cast<double>(std::uniform_int_distribution<int>(low, high)(random));
  };
  StepShape shape;
  const double kind = pick(0, 2);
  if (kind < 2) {
    shape.decode_rows = pick(1, 40);
    shape.decode_keys = shape.decode_rows * pick(50, 2000);
  }
  if (kind > 0) {
    shape.prompt_rows = pick(4, 200);
    shape.prompt_keys = shape.prompt_rows * pick(20, 4000);
  }
  return shape;
}

double relative(double got, double want) { return got / want - 1; }

TEST(StepCosts, AddUpByTheKindOfStep) {
  const StepShape decodes{.decode_rows = 3, .decode_keys = 100};
  const StepShape prompt{.prompt_rows = 10, .prompt_keys = 1000};
  const StepShape both{3, 100, 10, 1000};
  EXPECT_DOUBLE_EQ(seconds(kTrue, decodes), 8e-3 + 3 * 6e-4 + 100 * 4e-7);
  EXPECT_DOUBLE_EQ(seconds(kTrue, prompt), 8e-3 + 10 * 1.2e-3 + 1000 * 3e-7);
  EXPECT_DOUBLE_EQ(seconds(kTrue, both), seconds(kTrue, decodes) + 10 * 2e-3 + 1000 * 3e-7);
}

TEST(CostModel, LearnsTheFixedPartFromPromptsAlone) {
  CostModel model;
  const StepShape first{.prompt_rows = 32, .prompt_keys = 528};
  model.observe(first, 20 * seconds(kTrue, first));  // touches memory for the first time
  for (int i = 0; i < 60; ++i) {
    const double rows = i % 4 == 0 ? 5 : 150;
    const StepShape shape{.prompt_rows = rows, .prompt_keys = rows * 1000};
    model.observe(shape, seconds(kTrue, shape));
  }
  EXPECT_GT(model.costs().fixed, 0.5 * kTrue.fixed);
  EXPECT_LT(model.costs().fixed, 2 * kTrue.fixed);
}

TEST(CostModel, PredictsStepsFromNoisyOnes) {
  for (const double scale : {0.02, 1.0, 60.0}) {  // machines and models differ by as much
    std::mt19937 random(5);
    std::uniform_real_distribution<double> noise(0.85, 1.15);
    CostModel model;
    EXPECT_FALSE(model.costs().measured);
    for (int i = 0; i < 600; ++i) {
      const StepShape shape = random_shape(random);
      const double interrupted = i % 50 == 49 ? 20 : 1;
      model.observe(shape, scale * seconds(kTrue, shape) * noise(random) * interrupted);
    }
    double worst = 0;
    double sum = 0;
    for (int i = 0; i < 200; ++i) {
      const StepShape shape = random_shape(random);
      const double error = relative(seconds(model.costs(), shape), scale * seconds(kTrue, shape));
      worst = std::max(worst, std::abs(error));
      sum += error;
    }
    EXPECT_LT(worst, 0.6) << scale;
    EXPECT_LT(std::abs(sum / 200), 0.15) << scale;
  }
}

TEST(CostModel, OneInterruptionChangesLittle) {
  CostModel model;
  const StepShape shape{.decode_rows = 4, .decode_keys = 400};
  for (int i = 0; i < 50; ++i) model.observe(shape, 0.010);
  model.observe(shape, 2.0);
  EXPECT_LT(seconds(model.costs(), shape), 0.0125);
  EXPECT_GT(seconds(model.costs(), shape), 0.0099);
}

TEST(CostModel, OneStepOfDecodesAfterManyWithPromptsStandsForAsMany) {
  const StepShape decodes{.decode_rows = 4, .decode_keys = 400};
  double slower[2] = {};
  for (const int n_prompts : {15, 16}) {
    CostModel model;
    for (int i = 0; i < 50; ++i) model.observe(decodes, 0.010);
    for (int i = 0; i < n_prompts; ++i) model.observe({4, 400, 20, 4000}, 0.050);
    model.observe(decodes, 0.020);
    slower[n_prompts - 15] = seconds(model.costs(), decodes) - 0.010;
  }
  EXPECT_GT(slower[0], 0.0005);
  EXPECT_GT(slower[1], 2.5 * slower[0]);
}

TEST(CostModel, FollowsAMachineThatBecomesSlower) {
  CostModel model;
  const StepShape shape{.decode_rows = 4, .decode_keys = 400};
  for (int i = 0; i < 50; ++i) model.observe(shape, 0.010);
  for (int i = 0; i < 60; ++i) model.observe(shape, 0.040);
  EXPECT_NEAR(seconds(model.costs(), shape), 0.040, 0.004);
  for (int i = 0; i < 60; ++i) model.observe(shape, 0.010);
  EXPECT_NEAR(seconds(model.costs(), shape), 0.010, 0.001);
}

TEST(CostModel, StepsWithPromptsDoNotChangeWhatDecodesCost) {
  CostModel model;
  const StepShape decodes{.decode_rows = 4, .decode_keys = 400};
  for (int i = 0; i < 20; ++i) model.observe(decodes, 0.010);
  const double before = seconds(model.costs(), decodes);
  for (int i = 0; i < 100; ++i) model.observe({4, 400, 20, 4000}, 0.050);
  EXPECT_EQ(seconds(model.costs(), decodes), before);
  EXPECT_NEAR(seconds(model.costs(), {4, 400, 20, 4000}), 0.050, 0.005);
}

TEST(CostModel, AsksForDecodesAloneBeforeTheirFirstStepAndNowAndThen) {
  CostModel model;
  EXPECT_FALSE(model.costs().decodes_due);  // nothing was measured: nothing to compare with
  for (int i = 0; i < 2; ++i) model.observe({0, 0, 32, 500}, 0.05);
  EXPECT_TRUE(model.costs().decodes_due);
  model.observe({2, 50, 0, 0}, 0.01);
  EXPECT_FALSE(model.costs().decodes_due);
  int n = 0;
  for (; !model.costs().decodes_due && n < 100; ++n) model.observe({2, 50, 8, 500}, 0.02);
  EXPECT_EQ(n, 16);
  model.observe({2, 50, 0, 0}, 0.01);
  EXPECT_FALSE(model.costs().decodes_due);
}

TEST(CostModel, AKindThatWasNeverSeenIsLikeTheOther) {
  CostModel model;
  for (int i = 0; i < 30; ++i) model.observe({0, 0, 100, 5000}, 0.3);
  EXPECT_EQ(model.costs().prompt_row_beside, model.costs().prompt_row_alone);
  model.observe({2, 50, 0, 0}, 0.01);
  const double alone = model.costs().prompt_row_alone;
  for (int i = 0; i < 30; ++i) model.observe({2, 50, 10, 500}, 0.09);
  EXPECT_EQ(model.costs().prompt_row_alone == alone, true);
  EXPECT_GT(model.costs().prompt_row_beside, 1.5 * alone);
}

TEST(CostModel, AClockThatStandsStillTellsNothing) {
  CostModel model;
  model.observe({1, 10, 0, 0}, 0.0);
  model.observe({1, 10, 0, 0}, -1.0);
  EXPECT_FALSE(model.costs().measured);
  EXPECT_EQ(model.costs().fixed, StepCosts{}.fixed);
}

}  // namespace
}  // namespace openllm::engine

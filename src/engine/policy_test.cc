#include "engine/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace openllm::engine {
namespace {

/// So fast that time bounds nothing.
constexpr StepCosts kFast{.fixed = 1e-9,
                          .decode_row = 1e-2,
                          .decode_key = 1e-12,
                          .prompt_row_beside = 1e-9,
                          .prompt_row_alone = 1e-9,
                          .prompt_key = 1e-15,
                          .measured = true};

std::vector<std::pair<int, int>> plan(const std::vector<Candidate>& candidates, Budget budget,
                                      const StepCosts& costs = kFast) {
  std::vector<PlannedRows> rows;
  plan_step(candidates, budget, costs, rows);
  std::vector<std::pair<int, int>> result;
  for (const PlannedRows& r : rows) result.emplace_back(r.candidate, r.n_rows);
  return result;
}

using Rows = std::vector<std::pair<int, int>>;

TEST(PlanStep, DecodesComeFirstThenTheFirstPromptAndTheShortest) {
  EXPECT_EQ(plan({{100}, {1}, {20}, {1}}, {50, 8, 8}), (Rows{{1, 1}, {3, 1}, {0, 28}, {2, 20}}));
  EXPECT_EQ(plan({{10}, {1}, {20}, {1}}, {50, 8, 8}), (Rows{{1, 1}, {3, 1}, {0, 10}, {2, 20}}));
}

TEST(PlanStep, KeepsToEveryBudget) {
  EXPECT_EQ(plan({{1}, {1}, {1}}, {2, 8, 8}), (Rows{{0, 1}, {1, 1}}));
  EXPECT_EQ(plan({{1}, {1}, {1}}, {8, 1, 8}), (Rows{{0, 1}}));
  EXPECT_EQ(plan({{1}, {1}, {5}}, {8, 8, 2}),
            (Rows{{0, 1}, {1, 1}, {2, 4}}));  // the last row would need logits
  EXPECT_TRUE(plan({}, {8, 8, 8}).empty());
}

TEST(PlanStep, PromptLogprobsBoundTheChunk) {
  EXPECT_EQ(plan({{20, 0, 19, true}}, {50, 8, 8}), (Rows{{0, 8}}));
  EXPECT_EQ(plan({{20, 6, 19, true}}, {50, 8, 8}),
            (Rows{{0, 14}}));  // rows before 6 were reported before
  EXPECT_EQ(plan({{8, 0, 8, true}}, {50, 8, 8}),
            (Rows{{0, 8}}));  // the last is reported and drawn from
  EXPECT_EQ(plan({{9, 1, 8, true}}, {50, 8, 7}), (Rows{{0, 8}}));
  EXPECT_EQ(count_output_rows({9, 1, 8, true}, 9), 8);
  EXPECT_EQ(count_output_rows({8, 8, 8, true}, 8), 1);  // all was reported before
  EXPECT_EQ(count_output_rows({8, 7, 8, true}, 8), 1);
  EXPECT_EQ(count_output_rows({8, 7, 8, true}, 7), 0);
  EXPECT_EQ(count_output_rows({8, 3, 8, false}, 8), 5);
}

TEST(PlanStep, PromptsThatHaveLeastWhenTheyAreDoneGetAPart) {
  const Candidate served{.n_remaining = 20, .n_served = 500};
  EXPECT_EQ(plan({{100}, served, {90}}, {60, 8, 8}), (Rows{{0, 30}, {2, 30}}));
}

TEST(PlanStep, TheTenantThatWasGivenLeastGetsAPart) {
  const Candidate a{.n_remaining = 100, .tenant_served = 10};
  const Candidate b{.n_remaining = 90, .tenant_served = 5};
  const Candidate c{.n_remaining = 30, .tenant_served = 10};
  EXPECT_EQ(plan({a, b, c}, {60, 8, 8}), (Rows{{0, 20}, {1, 20}, {2, 20}}));
}

TEST(PlanStep, LowerPriorityComesFirstInEachPart) {
  const Candidate urgent{.n_remaining = 100, .priority = -1};
  EXPECT_EQ(plan({urgent, {5}}, {60, 8, 8}), (Rows{{0, 60}}));
}

/// So slow that no row fits into the time: each part is of two rows.
TEST(PlanStep, EachPartHasTwoRowsHoweverSlowTheyAre) {
  const StepCosts slow{.fixed = 1e-9, .prompt_row_alone = 10, .prompt_key = 1e-9, .measured = true};
  EXPECT_EQ(plan({{100}}, {50, 8, 8}, slow), (Rows{{0, 4}}));
  EXPECT_EQ(plan({{100}, {20}}, {50, 8, 8}, slow), (Rows{{0, 2}, {1, 2}}));
  EXPECT_EQ(plan({{100}, {20}, {30}}, {50, 8, 8}, slow), (Rows{{0, 2}, {1, 2}}));
  const Candidate other{.n_remaining = 100, .tenant_served = -5};
  EXPECT_EQ(plan({{100}, other, {20}}, {50, 8, 8}, slow), (Rows{{0, 2}, {1, 2}, {2, 2}}));
  EXPECT_EQ(plan({{100}, {20}}, {3, 8, 8}, slow), (Rows{{0, 2}, {1, 1}}));
}

/// What a row takes grows with the rows before it, those of the same step among them.
TEST(PlanStep, RowsThatAttendToManyKeysKeepToTheTime) {
  for (const int n_past : {0, 7, 60}) {
    const StepCosts costs{
        .fixed = 1e-9, .prompt_row_alone = 1e-9, .prompt_key = 1e-3, .measured = true};
    const Candidate c{.n_remaining = 100, .n_past = n_past};
    const Rows rows = plan({c}, {50, 8, 8}, costs);
    ASSERT_EQ(rows.size(), 1U);
    const double limit = step_limit_s(costs, {}, 1);
    double time = 0;
    int n = 0;
    while (time + 1e-3 * (n_past + n + 1) <= limit) time += 1e-3 * (n_past + ++n);
    EXPECT_LE(rows[0].second, std::max(n, 4)) << n_past;
    EXPECT_GE(rows[0].second, n - 1) << n_past;
  }
}

TEST(PlanStep, ChunksThatGrowCountTheirLogitsOnce) {
  EXPECT_EQ(plan({{40, 0, 39, true}}, {20, 8, 12}), (Rows{{0, 12}}));
}

TEST(PlanStep, RandomInputsStayWithinBudgetAndGetOn) {
  std::mt19937 random(3);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<Candidate> candidates(static_cast<std::size_t>(pick(1, 9)));
    for (Candidate& c : candidates) {
      c.n_remaining = pick(0, 1) == 0 ? 1 : pick(1, 30);
      c.report_begin = pick(0, c.n_remaining);
      c.report_end = pick(0, 1) == 0 ? c.report_begin : pick(c.report_begin, c.n_remaining);
      c.wants_last = c.report_end == 0 || pick(0, 4) > 0;
    }
    const Budget budget{pick(1, 40), pick(1, 9), pick(1, 9)};
    std::vector<PlannedRows> rows;
    plan_step(candidates, budget, kFast, rows);
    ASSERT_FALSE(rows.empty());
    int n_rows = 0;
    int n_outputs = 0;
    for (const PlannedRows& r : rows) {
      const Candidate& c = candidates[static_cast<std::size_t>(r.candidate)];
      ASSERT_GE(r.n_rows, 1);
      ASSERT_LE(r.n_rows, c.n_remaining);
      n_rows += r.n_rows;
      n_outputs += count_output_rows(c, r.n_rows);
    }
    ASSERT_LE(n_rows, budget.rows);
    ASSERT_LE(n_outputs, budget.output_rows);
    ASSERT_LE(rows.size(), static_cast<std::size_t>(budget.sequences));
  }
}

TEST(StepLimit, IsShorterWhereSomebodyElseWaits) {
  const StepCosts costs{.fixed = 5e-3, .decode_row = 1e-3};
  EXPECT_GT(step_limit_s(costs, {}, 1), step_limit_s(costs, {}, 2));
  EXPECT_GT(step_limit_s(costs, {}, 2), step_limit_s(costs, {.decode_rows = 4}, 1));
  // A large model's fixed part stays a fifth at most.
  EXPECT_GE(step_limit_s({.fixed = 0.2}, {}, 2), 5 * 0.2);
}

}  // namespace
}  // namespace openllm::engine

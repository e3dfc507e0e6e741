// How long steps take and whom they serve, on a clock that steps move.

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/sim_bench.h"

namespace openllm::engine {
namespace {

using test::large_model;
using test::Sim;
using test::small_model;
using test::StepTime;
using test::TimedSink;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Submits requests of 20 rows and one token, each when the last has its answer, until `other` has
/// ended; their median time.
double median_of_short_ones(Sim& sim, const TimedSink& other, int at_least) {
  std::vector<double> times;
  for (int i = 0; i < 3; ++i) sim.engine.step();
  while (!other.ended()) {
    const double start = sim.now();
    const auto one = sim.submit(20, 1);
    sim.run_until_ended(*one);
    times.push_back(one->end_s - start);
    sim.run_for(0.1);
  }
  EXPECT_GE(times.size(), static_cast<std::size_t>(at_least));
  return median(times);
}

TEST(Pace, AShortRequestIsServedAtOnceBesideALongPrompt) {
  Sim sim;
  sim.warm_up();
  const auto prompt = sim.submit(4000, 1);
  EXPECT_LE(median_of_short_ones(sim, *prompt, 5), 0.3);
}

TEST(Pace, AShortRequestIsServedAtOnceBesideABatchOfPrompts) {
  Sim sim;
  sim.warm_up();
  std::shared_ptr<TimedSink> last;
  for (int i = 0; i < 400; ++i) {
    Request r = sim.make(25, 16);
    r.group = "batch";
    last = sim.submit(r);
  }
  EXPECT_LE(median_of_short_ones(sim, *last, 10), 0.3);
}

TEST(Pace, AShortRequestIsServedAtOnceBesideManyChoices) {
  Sim sim;
  sim.warm_up();
  Request r = sim.make(25, 32);
  r.n_choices = 128;
  const auto choices = sim.submit(r);
  EXPECT_LE(median_of_short_ones(sim, *choices, 10), 0.3);
}

class PaceOfModels : public testing::TestWithParam<StepTime> {};
INSTANTIATE_TEST_SUITE_P(SmallAndLarge, PaceOfModels,
                         testing::Values(small_model(), large_model()));

TEST_P(PaceOfModels, StreamsKeepTheirPaceBesideALongPrompt) {
  for (const bool has_interruptions : {false, true}) {
    Sim sim({.time = GetParam()});
    sim.warm_up();
    std::vector<std::shared_ptr<TimedSink>> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(sim.submit(30, 6000));
    for (int i = 0; i < 100; ++i) sim.engine.step();
    const double alone = streams[0]->longest_gap(streams[0]->times[2]);
    sim.runner.has_interruptions = has_interruptions;
    const double start = sim.now();
    const auto prompt = sim.submit(4000, 1);
    std::vector<double> steps;
    while (!prompt->ended()) {
      sim.engine.step();
      steps.push_back(sim.runner.last_step_s);
    }
    std::sort(steps.begin(), steps.end());
    EXPECT_LE(steps[steps.size() * 95 / 100], 3 * alone) << has_interruptions;
    // The time that streams leave is used: 3 of 5 parts of each step are the prompt's.
    Sim other({.time = GetParam()});
    other.warm_up();
    const double start_alone = other.now();
    const auto prompt_alone = other.submit(4000, 1);
    other.run_until_ended(*prompt_alone);
    const double alone_s = prompt_alone->end_s - start_alone;
    if (!has_interruptions) {
      EXPECT_LE(prompt->end_s - start, 2.2 * alone_s);
    }
  }
}

TEST_P(PaceOfModels, WithoutStreamsStepsAreBoundedAndEfficient) {
  Sim sim({.time = GetParam()});
  sim.warm_up();
  const double fixed = GetParam()(1, 0, 0);
  const auto prompt = sim.submit(7000, 1);
  int n = 0;
  while (!prompt->ended()) {
    sim.engine.step();
    if (prompt->ended()) break;  // the last chunk is what is left
    ++n;
    EXPECT_LE(sim.runner.last_step_s, std::max(0.25, 8 * fixed));
    EXPECT_GE(sim.runner.last_step_s, std::max(0.08, 2 * fixed));
  }
  EXPECT_GT(n, 5);
}

TEST(Pace, BeforeAnythingIsMeasuredStepsAreSmall) {
  Sim sim({.time = large_model()});
  sim.submit(4000, 1);
  sim.engine.step();
  EXPECT_EQ(sim.runner.last_rows, 32);
}

TEST(Pace, ALongPromptGetsOnAmongShortOnesWithoutEnd) {
  Sim sim;
  sim.warm_up();
  const double start_alone = sim.now();
  const auto alone = sim.submit(4000, 1);
  sim.run_until_ended(*alone);
  const double alone_s = alone->end_s - start_alone;
  const double start = sim.now();
  const auto prompt = sim.submit(4000, 1);
  std::vector<std::shared_ptr<TimedSink>> shorts;
  while (!prompt->ended() && sim.now() < start + 20 * alone_s) {
    while (sim.engine.stats().n_running < 40) {  // more than half of a step's rows at any time
      shorts.push_back(sim.submit(60, 1));
      if (sim.engine.stats().n_waiting > 40) break;
    }
    sim.engine.step();
  }
  EXPECT_TRUE(prompt->ended());
  EXPECT_LE(prompt->end_s - start, 3 * alone_s);
  EXPECT_TRUE(shorts[shorts.size() / 2]->ended());
}

TEST(Pace, MorePromptsThanStreamsGetMoreOfTheTime) {
  Sim sim;
  sim.warm_up();
  const auto stream = sim.submit(30, 6000);
  for (int i = 0; i < 20; ++i) sim.engine.step();
  const double alone = sim.runner.last_step_s;
  std::shared_ptr<TimedSink> last;
  for (int i = 0; i < 20; ++i) last = sim.submit(1000, 1);
  for (int i = 0; i < 20; ++i) sim.engine.step();
  EXPECT_GT(sim.runner.last_step_s, 6 * alone);
  EXPECT_LE(sim.runner.last_step_s, 0.25);
}

}  // namespace
}  // namespace openllm::engine

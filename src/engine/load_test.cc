// Estimates of waiting, against what requests then wait.

#include "engine/load.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <functional>

#include "engine/sim_bench.h"

namespace openllm::engine {
namespace {

using std::chrono::milliseconds;
using test::Sim;
using test::TimedSink;

TEST(AnswerLengths, AreExpectedAsAnswersWereLately) {
  AnswerLengths lengths;
  for (int i = 0; i < 3000; ++i) {
    lengths.add_token();
    if (i % 100 == 99) lengths.add_end();
  }
  EXPECT_NEAR(lengths.expected(100000, true), 105, 5);  // with the one that counts from the start
  EXPECT_NEAR(lengths.expected(10, true), 9.6, 0.3);    // a limit far below
  EXPECT_NEAR(lengths.expected(100, true), 64, 4);
  EXPECT_EQ(lengths.expected(500, false), 500);  // nothing ends it
  EXPECT_EQ(lengths.expected(0, true), 0);
  EXPECT_EQ(lengths.expected(-3, false), 0);
}

TEST(AnswerLengths, CutOnesCountAsFarAsTheyCame) {
  AnswerLengths lengths;
  for (int i = 0; i < 20000; ++i) lengths.add_token();  // all were cut
  EXPECT_GT(lengths.expected(100000, true), 10000);
}

TEST(AnswerLengths, OldOnesAreForgotten) {
  AnswerLengths lengths;
  for (int i = 0; i < 60000; ++i) lengths.add_token();
  for (int i = 0; i < 200000; ++i) {
    lengths.add_token();
    if (i % 50 == 0) lengths.add_end();
  }
  EXPECT_LT(lengths.expected(100000, true), 75);
}

Load full_load() {
  Load load;
  load.costs.measured = true;
  load.n_places = load.n_running = 16;
  load.running_s = 8;
  load.mean_s = 1;
  load.n_known = 1e12;
  load.step_s = 0.02;
  load.of(1, 0).n_running = 16;
  return load;
}

TEST(Load, WaitsForPlacesAreThoseOfWhoComesBefore) {
  Load load = full_load();
  const double first = estimate_wait_s(load, {.tenant = 1});
  EXPECT_DOUBLE_EQ(first, 0.01 + 8.0 / 16);
  load.of(1, 0).n_first = 5;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1}), first + 5 * 1.0);
  // Another tenant waits for one of the other's, not for all.
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 2}), first + 1.0);
  load.of(2, 0).n_first = 2;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 2}), first + 2 + 3);
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1}), first + 5 + 2);
  // Lower priority comes before all others, higher after them.
  load.last_priority = 3;
  load.of(3, 1).n_first = 9;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1, .priority = 4}), first + 5 + 2 + 9);
  load.last_priority = 0;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1, .priority = 1}), first + 5 + 2 + 1);
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1, .priority = -1}), 0.01);  // takes a place
}

TEST(Load, FreePlacesAreNoWait) {
  Load load = full_load();
  load.n_running = 10;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1}), 0.01);
  load.of(1, 0).n_first = 5;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 1}), 0.01);
  load.of(1, 0).n_first = 6;
  EXPECT_GT(estimate_wait_s(load, {.tenant = 1}), 0.5);
  load.of(1, 0).n_first = 0;
  load.n_running = 14;
  load.of(1, 0).n_running = 14;
  load.has_tenants = true;  // its share is full, the others' places are not its
  EXPECT_GT(estimate_wait_s(load, {.tenant = 1}), 0.5);
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 2}), 0.01);
}

TEST(Load, WaitsForPromptsAreThoseThatAreShorterOrAllOfThem) {
  Load load = full_load();
  load.n_running = 3;
  load.costs.fixed = 0.005;
  load.costs.prompt_row_alone = 1e-3;
  const double nothing = estimate_wait_s(load, {.n_prompt = 50});
  load.add_prompt(4000);
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.n_prompt = 50}), nothing);
  EXPECT_NEAR(estimate_wait_s(load, {.n_prompt = 5000}), nothing + 4.0 * 0.1 / 0.095, 0.01);
  load.add_prompt(40);
  EXPECT_NEAR(estimate_wait_s(load, {.n_prompt = 50}), nothing + 0.08 * 0.1 / 0.095, 0.001);
  load.n_decoding = 3;  // beside streams it takes longer
  load.costs.prompt_row_beside = 1e-3;
  EXPECT_GT(estimate_wait_s(load, {.n_prompt = 5000}), nothing + 5);
}

TEST(Load, NewcomersCountForThoseAfterThem) {
  Load load = full_load();
  load.n_running = 14;
  EXPECT_DOUBLE_EQ(estimate_wait_s(load, {.tenant = 7}), 0.01);
  add_newcomer(load, {.tenant = 7, .n_prompt = 1000});
  add_newcomer(load, {.tenant = 7, .n_prompt = 1000});
  EXPECT_EQ(load.n_running, 16);
  EXPECT_EQ(load.n_prompts, 2);
  const double full = estimate_wait_s(load, {.tenant = 7});
  EXPECT_GT(full, 0.5);
  add_newcomer(load, {.tenant = 7, .n_prompt = 1000});
  EXPECT_EQ(load.of(7, 0).n_first, 1);
  EXPECT_NEAR(estimate_wait_s(load, {.tenant = 7}), full + 1, 1e-6);
  EXPECT_NEAR(estimate_longest_wait_s(load), full + 1, 1e-6);
  // Those of unknown work count as the mean, others as what they ask for.
  load.n_known = 1;
  load.token_s = 0.01;
  add_newcomer(load, {.tenant = 7, .n_prompt = 1000, .max_new = 100, .can_end = false});
  EXPECT_NEAR(load.mean_s, (1 + 0.5 + 1) / 2, 1e-6);
}

TEST(Load, TheLongestWaitIsThatOfAnyTenant) {
  for (const std::size_t longest : {1U, 2U}) {
    Load load = full_load();
    load.of(1, 0).n_first = load.of(2, 0).n_first = 1;
    load.of(longest, 0).n_first = 7;
    EXPECT_DOUBLE_EQ(estimate_longest_wait_s(load), estimate_wait_s(load, {.tenant = longest}));
    EXPECT_GT(estimate_longest_wait_s(load), 8);
  }
}

TEST(Load, NothingIsEstimatedBeforeAnythingWasMeasured) {
  Load load = full_load();
  load.costs.measured = false;
  EXPECT_EQ(estimate_wait_s(load, {}), 0);
}

/// Requests come faster than they are served; the estimates are those of small ones among them.
TEST(LoadInTheEngine, EstimatesAreWhatRequestsWait) {
  Sim sim({.max_sequences = 16});
  sim.warm_up();
  struct Pending {
    double start, estimate;
    std::shared_ptr<TimedSink> sink;
  };
  std::vector<Pending> all;
  for (int i = 0; i < 200; ++i) {
    if (i % 5 == 4) {
      const double estimate = sim.engine.stats().estimated_wait_s;
      all.push_back({sim.now(), estimate, sim.submit(1, 1)});
    }
    sim.submit(20 + i * 37 % 200, 20 + i * 13 % 40);
    sim.run_for(0.1);
  }
  while (sim.engine.step()) {
  }
  double sum_of_logs = 0;
  int n = 0;
  for (const Pending& p : all) {
    const double waited = p.sink->times.front() - p.start;
    if (waited < 1) continue;
    EXPECT_LT(p.estimate, 2 * waited);
    EXPECT_GT(p.estimate, waited / 2);
    sum_of_logs += std::log(p.estimate / waited);
    ++n;
  }
  EXPECT_GT(n, 15);
  EXPECT_LT(std::abs(sum_of_logs / n), 0.3);
}

TEST(LoadInTheEngine, AnIdleEngineLetsNobodyWait) {
  Sim sim;
  EXPECT_EQ(sim.engine.stats().estimated_wait_s, 0);
  sim.warm_up();
  const EngineStats stats = sim.engine.stats();
  EXPECT_EQ(stats.estimated_wait_s, 0);
  EXPECT_GT(stats.step_s, 0);
  EXPECT_GT(stats.tokens_per_s, 0);
  EXPECT_GT(stats.prompt_rows_per_s, 100);
}

/// What submitting gives: nothing, or the error.
std::optional<Error> try_submit(Sim& sim, Request r) {
  try {
    sim.submit(std::move(r));
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

Request impatient(Sim& sim, milliseconds most) {
  Request r = sim.make(30, 8);
  r.max_wait = most;
  return r;
}

TEST(MaxWait, RefusesWhatWouldWaitLongerAndTellsWhenToComeAgain) {
  Sim sim({.max_sequences = 8});
  sim.warm_up();
  for (int i = 0; i < 60; ++i) sim.submit(100, 40);
  sim.engine.step();
  const double estimate = sim.engine.stats().estimated_wait_s;
  ASSERT_GT(estimate, 3);
  const auto refusal = try_submit(sim, impatient(sim, milliseconds(1000)));
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), ErrorCode::kBusy);
  const double retry_s = std::chrono::duration<double>(refusal->retry_after()).count();
  EXPECT_NEAR(retry_s, estimate - 1, 0.3 * estimate);
  EXPECT_EQ(sim.engine.stats().n_waiting, 52);  // nothing was queued
  EXPECT_FALSE(try_submit(sim, impatient(sim, milliseconds(600000))).has_value());
  EXPECT_FALSE(try_submit(sim, sim.make(30, 8)).has_value());  // any wait
  // It is taken about when it was told to come again.
  const double start = sim.now();
  while (try_submit(sim, impatient(sim, milliseconds(1000))).has_value()) sim.run_for(0.05);
  EXPECT_GT(sim.now() - start, 0.5 * retry_s);
  EXPECT_LT(sim.now() - start, 1.5 * retry_s);
}

TEST(MaxWait, AnIdleEngineTakesAGroupWhole) {
  Sim sim({.max_sequences = 8});
  sim.warm_up();
  const auto of_group = [&](const std::string& tenant, const std::string& group) {
    Request r = impatient(sim, milliseconds(500));
    r.tenant = tenant;
    r.group = group;
    return r;
  };
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(try_submit(sim, of_group("t", "g")).has_value()) << i;
    if (i % 40 == 39) sim.engine.step();
  }
  EXPECT_LT(sim.engine.stats().estimated_wait_s, 2);  // others do not wait for all of it
  // The same group of another tenant is another one.
  Request other = of_group("u", "g");
  other.max_wait = milliseconds(0);
  EXPECT_TRUE(try_submit(sim, other).has_value());
  while (sim.engine.step()) {
  }
  for (int i = 0; i < 40; ++i) sim.submit(400, 40);
  sim.engine.step();
  EXPECT_TRUE(try_submit(sim, of_group("t", "g")).has_value());  // ended: its name is free again
}

TEST(MaxWait, AGroupIsTakenAsLongAsOneOfItIsThere) {
  Sim sim({.max_sequences = 8});
  sim.warm_up();
  const auto of_group = [&](int max_new) {
    Request r = sim.make(30, max_new);
    r.group = "g";
    r.max_wait = milliseconds(0);
    return r;
  };
  const auto kept = sim.submit(of_group(2000));
  const auto gone = sim.submit(of_group(2));
  sim.run_until_ended(*gone);
  for (int i = 0; i < 40; ++i) sim.submit(400, 2000);
  sim.engine.step();
  ASSERT_FALSE(kept->ended());
  EXPECT_TRUE(try_submit(sim, impatient(sim, milliseconds(0))).has_value());
  EXPECT_FALSE(try_submit(sim, of_group(2)).has_value());
}

TEST(MaxWait, RequestsThatArriveDuringAStepCount) {
  Sim sim({.max_sequences = 8});
  sim.warm_up();
  int n_taken = 0;
  while (n_taken < 500 && !try_submit(sim, impatient(sim, milliseconds(1000))).has_value())
    ++n_taken;
  EXPECT_GE(n_taken, 8);
  EXPECT_LT(n_taken, 100);
}

TEST(MaxWait, NoWaitAtAllIsEnoughForAnIdleEngine) {
  Sim sim({.max_sequences = 8});
  sim.warm_up();
  EXPECT_FALSE(try_submit(sim, impatient(sim, milliseconds(0))).has_value());
  sim.engine.step();
  EXPECT_TRUE(try_submit(sim, impatient(sim, milliseconds(0))).has_value());
}

/// The wait that an engine with all its places taken tells when these have come but not yet run.
double wait_behind(int n, const std::function<void(Request&)>& change) {
  Sim sim({.max_sequences = 8});
  for (int i = 0; i < 20; ++i) {  // answers end soon
    Request r = sim.make(20, 200);
    r.stop_token_ids = {0};
    sim.submit(r);
  }
  while (sim.engine.step()) {
  }
  for (int i = 0; i < 8; ++i) sim.submit(20, 400);
  sim.engine.step();
  for (int i = 0; i < n; ++i) {
    Request r = sim.make(20, 400);
    change(r);
    sim.submit(r);
  }
  return sim.engine.stats().estimated_wait_s;
}

TEST(MaxWait, NewcomersCountForWhatTheyAskFor) {
  const auto as_they_are = [](Request&) {};
  const double nobody = wait_behind(0, as_they_are);
  const double plain = wait_behind(8, as_they_are);
  EXPECT_GT(plain, 4 * nobody);
  EXPECT_LT(wait_behind(8, [](Request& r) { r.stop_token_ids = {0}; }), 0.7 * plain);
  EXPECT_LT(wait_behind(8, [](Request& r) { r.max_new_tokens = 1; }), 0.7 * plain);
  // All choices count for the mean, behind the first without a prompt; as one for who comes first.
  EXPECT_LT(wait_behind(8,
                        [](Request& r) {
                          r.n_choices = 100;
                          r.max_new_tokens = 1;
                        }),
            0.25 * plain);
  // Behind those that ask now.
  EXPECT_LT(wait_behind(8, [](Request& r) { r.priority = 1; }), 1.2 * nobody);
}

TEST(MaxWait, BeforeAnythingWasMeasuredAFullQueueTellsNoTimeButOne) {
  Sim sim({.max_sequences = 8, .max_queue = 2});
  for (int i = 0; i < 10; ++i) sim.submit(30, 8);
  const auto refusal = try_submit(sim, sim.make(30, 8));
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->retry_after(), milliseconds(1));
}

TEST(MaxWait, AFullQueueTellsWhenItHasRoom) {
  Sim sim({.max_sequences = 8, .max_queue = 20});
  sim.warm_up();
  for (int i = 0; i < 28; ++i) sim.submit(100, 40);
  sim.engine.step();
  const auto refusal = try_submit(sim, sim.make(30, 8));
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), ErrorCode::kBusy);
  EXPECT_GT(refusal->retry_after().count(), 0);
  const double start = sim.now();
  while (sim.engine.stats().n_running + sim.engine.stats().n_waiting == 28) sim.engine.step();
  EXPECT_NEAR(std::chrono::duration<double>(refusal->retry_after()).count(), sim.now() - start,
              2.0);
}

TEST(Queue, NoRequestTakesThePlacesOfThoseAfterIt) {
  for (const bool as_group : {false, true}) {
    Sim sim({.max_sequences = 8, .max_queue = 56});
    sim.warm_up();
    const auto batch = [&](int n) {
      Request r = sim.make(30, 40);
      r.n_choices = as_group ? 1 : n;
      r.group = as_group ? "batch" : "";
      return r;
    };
    EXPECT_EQ(sim.engine.stats().max_of_request(), 56);
    if (as_group) {
      for (int i = 0; i < 56; ++i) EXPECT_FALSE(try_submit(sim, batch(1)).has_value()) << i;
      EXPECT_EQ(try_submit(sim, batch(1))->code(), ErrorCode::kBusy) << "one more of it";
    } else {
      EXPECT_EQ(try_submit(sim, batch(57))->code(), ErrorCode::kInvalidArgument);
      EXPECT_FALSE(try_submit(sim, batch(56)).has_value());
    }
    sim.engine.step();
    // A second one leaves an eighth of the rest, and single ones get on while there are places.
    Request second = sim.make(30, 40);
    second.n_choices = 8;
    EXPECT_EQ(try_submit(sim, second)->code(), ErrorCode::kBusy);
    second = sim.make(30, 40);
    second.n_choices = 7;
    EXPECT_FALSE(try_submit(sim, second).has_value());
    const auto small = sim.submit(20, 2);
    EXPECT_EQ(try_submit(sim, sim.make(20, 2))->code(), ErrorCode::kBusy) << "all are taken";
    sim.run_until_ended(*small);
    EXPECT_TRUE(small->ended());
    while (sim.engine.step()) {
    }
    for (int i = 0; i < 56 && as_group; ++i)
      EXPECT_FALSE(try_submit(sim, batch(1)).has_value()) << "what ended counts no more";
  }
}

}  // namespace
}  // namespace openllm::engine

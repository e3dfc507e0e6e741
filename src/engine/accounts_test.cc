// What tenants and groups are charged for, and what a core tells of its load.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core.h"
#include "engine/sim_bench.h"
#include "engine/test_bench.h"

namespace openllm::engine {
namespace {

using test::kVocab;
using test::make_request;

/// A core alone, whose requests can be looked at.
class Accounts : public testing::Test {
 protected:
  struct Payer {
    std::shared_ptr<Tenant> tenant;
    std::shared_ptr<Group> group;
  };

  void make_core(EngineOptions o) {
    runner_.emplace(kVocab, o);
    core_.emplace(*runner_, o, clock_);
  }
  Payer add(Request r) {
    r.sink = std::make_shared<RecordingSink>(r.n_choices);
    auto state = std::make_unique<RequestState>(std::move(r), core_->max_len());
    const RequestState& kept = *state;
    core_->add(state);
    return {kept.tenant, kept.group};
  }
  void run() {
    while (!core_->is_idle()) {
      core_->step();
      core_->emissions().clear();
    }
  }
  Load load() {
    Load load;
    core_->fill(load);
    return load;
  }

  FakeClock clock_;
  std::optional<FakeRunner> runner_;
  std::optional<Core> core_;
};

TEST_F(Accounts, ATenantPaysForRowsOfPromptsAndTwiceForTokensAGroupForRows) {
  make_core(small_options());
  const Payer first = add(make_request("a", 10, 3));
  run();
  EXPECT_EQ(first.tenant->served, 10 + 3 * 2);
  EXPECT_EQ(first.group->served, 10 + 2);  // the last token is not computed
  const Payer second = add(make_request("b", 10, 3));
  EXPECT_EQ(second.tenant, first.tenant);
  EXPECT_EQ(second.tenant->served, 0);  // alone again
  run();
  EXPECT_EQ(second.tenant->served, 2 + 3 * 2);  // two blocks were cached
  EXPECT_EQ(second.group->served, 2 + 2);
}

TEST_F(Accounts, WhatIsComputedAgainIsNotPaidForAgain) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  o.prefix_caching = false;
  make_core(o);
  Request low = make_request("low", 41, 4);
  low.tenant = "a";
  const Payer payer = add(low);
  core_->step();
  core_->step();
  EXPECT_EQ(payer.tenant->served, 41);
  EXPECT_EQ(payer.tenant->n_running, 1);
  EXPECT_EQ(payer.group->n_running, 1);
  Request high = make_request("high", 3, 1);
  high.tenant = "b";
  high.priority = -1;
  add(high);
  core_->step();
  EXPECT_EQ(payer.tenant->n_running, 0);
  EXPECT_EQ(payer.group->n_running, 0);
  run();
  EXPECT_EQ(core_->stats().n_preemptions, 1);
  EXPECT_EQ(payer.tenant->served, 41 + 4 * 2);
  EXPECT_EQ(payer.group->served, 32 + 41 + 3);
}

/// Lengths of answers are those of requests that something may end.
TEST_F(Accounts, AnswersCountThatMayEndByThemselves) {
  make_core(small_options());
  AnswerLengths lengths;
  const auto expect_the_same = [&](const char* what) {
    EXPECT_DOUBLE_EQ(load().lengths.expected(1000000, true), lengths.expected(1000000, true))
        << what;
  };
  add(make_request("no stops", 5, 20));
  run();
  expect_the_same("no stops");
  Request cut = make_request("cut", 5, 6);
  cut.stop_token_ids = {100000};
  add(cut);
  run();
  for (int i = 0; i < 6; ++i) lengths.add_token();
  expect_the_same("cut");
  Request cancelled = cut;
  add(cancelled);
  core_->step();
  core_->end_choice("cut", -1, FinishReason::kCancelled);
  lengths.add_token();
  expect_the_same("cancelled");
  Request stopped = cut;
  stopped.stop_token_ids = {expected_answer(cut, 0, kVocab, small_options()).tokens[0]};
  add(stopped);
  run();
  lengths.add_token();
  lengths.add_end();
  expect_the_same("stopped");
}

TEST_F(Accounts, TheLoadIsWhatRunsAndWaits) {
  EngineOptions o = small_options();
  o.max_sequences = 2;
  make_core(o);
  const auto request = [](const char* id, int n_prompt, int max_new, const char* tenant,
                          const char* group, int priority) {
    Request r = make_request(id, n_prompt, max_new);
    r.tenant = tenant;
    r.group = group;
    r.priority = priority;
    return r;
  };
  const std::size_t a = add(request("1", 9, 20, "a", "g", 0)).tenant->id;
  const std::size_t b = add(request("2", 6, 9, "b", "", 3)).tenant->id;
  core_->step();
  add(request("3", 12, 5, "a", "g", 4));  // of a group that runs
  add(request("4", 11, 5, "a", "", 4));
  const std::size_t c = add(request("5", 10, 5, "c", "g", 4)).tenant->id;
  add(request("6", 9, 5, "c", "g", 4));  // of a group that waits
  Load l = load();
  EXPECT_TRUE(l.has_tenants);
  EXPECT_EQ(l.n_places, 2);
  EXPECT_EQ(l.n_running, 2);
  EXPECT_EQ(l.n_decoding, 2);
  EXPECT_EQ(l.decode_keys, 10 + 7);
  EXPECT_EQ(l.n_prompts, 0);
  EXPECT_EQ(l.last_priority, 3);
  EXPECT_EQ(l.n_known, 6);
  const auto tenant = [&](std::size_t id, int priority) {
    return std::pair(l.of(id, priority).n_running, l.of(id, priority).n_first);
  };
  EXPECT_EQ(tenant(a, 0), std::pair(1, 0));
  EXPECT_EQ(tenant(b, 3), std::pair(1, 0));
  EXPECT_EQ(tenant(a, 4), std::pair(0, 1));
  EXPECT_EQ(tenant(c, 4), std::pair(0, 1));
  EXPECT_DOUBLE_EQ(l.running_s, l.work_s(1, 19, false) + l.work_s(1, 8, false));
  // From begin to end, wherever they are.
  const double whole =
      l.work_s(10, 20, false) + l.work_s(7, 9, false) + l.work_s(12 + 11 + 10 + 9, 4 * 5, false);
  EXPECT_DOUBLE_EQ(l.mean_s, whole / 6);
}

/// Choices behind the first find its prompt in the cache.
TEST_F(Accounts, OfChoicesOnlyTheFirstHasAPromptToCompute) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  make_core(o);
  Request r = make_request("a", 13, 6);
  r.n_choices = 3;
  add(r);
  core_->step();
  const Load l = load();
  EXPECT_EQ(l.n_known, 3);
  EXPECT_DOUBLE_EQ(l.mean_s, l.work_s(14 + 1 + 1, 3 * 6, false) / 3);
}

/// Calls `during` in each step.
class HookedRunner final : public StepRunner {
 public:
  int vocab_size() const noexcept override { return kVocab; }
  step::Outputs run(const step::Step& step) override {
    if (during) during();
    logits_.assign(step.logit_rows.size() * kVocab, 0.0F);
    return {.logits = logits_.data()};
  }
  std::function<void()> during{};

 private:
  std::vector<float> logits_;
};

TEST(Inbox, WhatComesDuringAStepWaits) {
  HookedRunner runner;
  FakeClock clock;
  Engine engine(runner, small_options(), clock, false);
  int n = 0;
  const auto submit = [&] {
    Request r = make_request(std::to_string(++n), 3, 5);
    r.n_choices = n;
    r.sink = std::make_shared<RecordingSink>(n);
    engine.submit(std::move(r));
  };
  submit();
  runner.during = submit;
  engine.step();
  runner.during = nullptr;
  EXPECT_EQ(engine.stats().n_running, 1);
  EXPECT_EQ(engine.stats().n_waiting, 2);
  EXPECT_EQ(engine.stats().n_requests, 2);
  engine.step();
  EXPECT_EQ(engine.stats().n_running, 2);  // a choice waits for the other's prompt
  EXPECT_EQ(engine.stats().n_waiting, 1);
  while (engine.step()) {
  }
  EXPECT_EQ(engine.stats().n_running + engine.stats().n_waiting, 0);
}

TEST(Throughput, CountsTheTokensOfAStep) {
  test::Sim sim;
  for (int i = 0; i < 4; ++i) sim.submit(10, 2000);
  for (int i = 0; i < 300; ++i) sim.engine.step();
  const EngineStats stats = sim.engine.stats();
  EXPECT_NEAR(stats.tokens_per_s * stats.step_s, 4, 1e-3);
}

/// Decodes alone are due, have no block for their next token, and are last in rank: then the step
/// is of the prompt that was left out for them.
TEST(DecodesDue, WithoutABlockForThemThePromptGetsOn) {
  EngineOptions o;
  o.max_step_tokens = 2;
  o.max_sequences = 2;
  o.max_model_len = 36;
  o.block_size = 4;
  o.prefix_caching = false;
  o.kv_groups.resize(1);
  o.blocks_per_group = {9};
  FakeClock clock;
  test::TimedRunner runner(clock, test::small_model());
  Engine engine(runner, o, clock, false);
  const auto submit = [&](const std::string& id, int n_prompt, int max_new, int priority) {
    Request r = make_request(id, n_prompt, max_new);
    for (std::int32_t& token : r.prompt_ids) token %= 16;
    r.priority = priority;
    const auto sink = std::make_shared<RecordingSink>(1);
    r.sink = sink;
    engine.submit(std::move(r));
    return sink;
  };
  const auto answer = submit("answer", 3, 30, 1);
  for (int i = 0; i < 3; ++i) engine.step();
  const auto prompt = submit("prompt", 22, 2, 0);
  for (int i = 0; i < 16; ++i) engine.step();
  ASSERT_EQ(engine.stats().n_blocks_free, 0);
  ASSERT_EQ(answer->tokens[0].size(), 2U + 16);
  ASSERT_EQ(engine.stats().n_preemptions, 0);
  engine.step();
  EXPECT_EQ(engine.stats().n_preemptions, 1);
  while (engine.step()) {
  }
  EXPECT_EQ(prompt->reasons[0], FinishReason::kLength);
  EXPECT_EQ(prompt->errors[0], "");
  EXPECT_EQ(answer->reasons[0], FinishReason::kLength);
  EXPECT_EQ(answer->tokens[0].size(), 30U);
}

}  // namespace
}  // namespace openllm::engine

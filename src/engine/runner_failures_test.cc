// Steps that fail, and results that are none.

#include <gmock/gmock.h>

#include <cmath>

#include "engine/test_bench.h"

namespace openllm::engine {
namespace {

using test::Bench;
using test::make_request;
using testing::HasSubstr;

TEST(RunnerFailures, AFailingStepFailsItsRequestsOnly) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  Request first = make_request("a", 3, 3);
  Request second = make_request("b", 3, 3);
  const auto failed = b.submit(first);
  const auto fine = b.submit(second);
  b.runner.fail_every = 1;
  b.engine.step();
  b.runner.fail_every = 0;
  b.run_all();
  EXPECT_EQ(failed->reasons[0], FinishReason::kError);
  EXPECT_EQ(failed->errors[0], "fake: step failed");
  EXPECT_EQ(fine->reasons[0], FinishReason::kLength);
}

class NanRunner final : public StepRunner {
 public:
  int vocab_size() const noexcept override { return 4; }
  step::Outputs run(const step::Step& plan) override {
    logits_.assign(plan.logit_rows.size() * 4, 1.0F);
    for (std::size_t i = 0; i < plan.logit_rows.size(); ++i) {
      if (plan.token_ids[static_cast<std::size_t>(plan.logit_rows[i])] == 3)
        logits_[i * 4] = std::nanf("");
    }
    return {.logits = logits_.data()};
  }

 private:
  std::vector<float> logits_;
};

TEST(RunnerFailures, NanLogitsFailOneRequestOfTheBatch) {
  NanRunner runner;
  FakeClock clock;
  Engine engine(runner, small_options(), clock, false);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const int last : {0, 3}) {
    Request r;
    r.id = std::to_string(last);
    r.prompt_ids = {1, last};
    r.max_new_tokens = 1;
    sinks.push_back(std::make_shared<RecordingSink>(1));
    r.sink = sinks.back();
    engine.submit(r);
  }
  while (engine.step()) {
  }
  EXPECT_EQ(sinks[0]->reasons[0], FinishReason::kLength);
  EXPECT_EQ(sinks[1]->reasons[0], FinishReason::kError);
  EXPECT_THAT(sinks[1]->errors[0], HasSubstr("NaN"));
}

/// Forgets to tell where the logits are.
class SilentRunner final : public StepRunner {
 public:
  int vocab_size() const noexcept override { return test::kVocab; }
  step::Outputs run(const step::Step& /*plan*/) override { return {}; }
};

TEST(RunnerFailures, WithoutLogitsOnlyStepsThatWantNoneGoOn) {
  SilentRunner runner;
  FakeClock clock;
  Engine engine(runner, small_options(), clock, false);
  Request r = make_request("a", 20, 1);  // the first step is a part of the prompt
  const auto sink = std::make_shared<RecordingSink>(1);
  r.sink = sink;
  engine.submit(r);
  engine.step();
  EXPECT_FALSE(sink->ended());
  engine.step();
  ASSERT_TRUE(sink->ended());
  EXPECT_EQ(sink->reasons[0], FinishReason::kError);
  EXPECT_EQ(sink->codes[0], ErrorCode::kInternal);
  EXPECT_THAT(sink->errors[0], HasSubstr("no logits"));
  EXPECT_EQ(engine.stats().n_blocks_free, engine.stats().n_blocks_total);
}

}  // namespace
}  // namespace openllm::engine

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "engine/test_bench.h"
#include "sampling/constraints/token_rules.h"
#include "sampling/test_constraints.h"

namespace openllm::engine {
namespace {

using sampling::Constraint;
using sampling::ConstraintContext;
using sampling::ForcedTokens;
using sampling::HashConstraint;
using testing::ElementsAre;

using test::kVocab;
using test::make_request;

class ConstraintTest : public testing::Test, protected test::Bench {
 protected:
  using test::Bench::Bench;
};

sampling::ConstraintFactory forced(std::vector<std::int32_t> tokens) {
  return [tokens = std::move(tokens)](const ConstraintContext&) {
    return std::make_unique<ForcedTokens>(tokens);
  };
}

sampling::ConstraintFactory hashed() {
  return [](const ConstraintContext& context) {
    return std::make_unique<HashConstraint>(static_cast<std::uint64_t>(context.choice));
  };
}

/// Rules that look at all tokens, and at the length.
sampling::ConstraintFactory ruled() {
  sampling::TokenRules rules;
  rules.no_repeat_ngram_size = 3;
  rules.bad_words = {{3, 4}, {5}};
  rules.sequence_bias = {{{6, 7}, 3.0F}, {{8}, -1.0F}};
  rules.forced_eos = {11};
  rules.length_decay = {20, 1.1F};
  rules.suppressed_at_begin = {1, 2};
  rules.eos = {11, 12};
  return [shared = std::make_shared<const sampling::TokenRules>(rules)](
             const ConstraintContext& context) {
    return std::make_unique<sampling::RuledTokens>(shared, context);
  };
}

/// Fails in the method of its choice.
class FailingConstraint final : public Constraint {
 public:
  explicit FailingConstraint(bool in_mask) : in_mask_(in_mask) {}
  void mask(std::span<std::uint64_t> /*words*/) const override {
    if (in_mask_) base::fail(ErrorCode::kInvalidArgument, "grammar: mask failed");
  }
  void accept(std::int32_t /*token*/) override {
    base::fail(ErrorCode::kInvalidArgument, "grammar: accept failed");
  }
  void rollback(int /*n*/) override {}
  bool may_end() const noexcept override { return true; }

 private:
  bool in_mask_;
};

TEST_F(ConstraintTest, ForcesTokensThenLetsTheModelGoOn) {
  Request r = make_request("a", 5, 8);
  r.constraints = {forced({4, 4, 60})};
  const auto sink = submit(r);
  run_all();
  EXPECT_EQ(sink->tokens[0].size(), 8U);
  EXPECT_EQ(sink->tokens[0], expected_answer(r, 0, kVocab, options).tokens);
  EXPECT_THAT(std::span(sink->tokens[0]).first(3), ElementsAre(4, 4, 60));
  EXPECT_NE(sink->tokens[0], expected_answer(make_request("a", 5, 8), 0, kVocab, options).tokens);
}

TEST_F(ConstraintTest, EachChoiceHasItsOwnThatKnowsTheRequest) {
  Request r = make_request("a", 5, 3);
  r.n_choices = 3;
  r.stop_token_ids = {9};
  std::vector<int> made;
  r.constraints = {[&](const ConstraintContext& context) {
    made.push_back(context.choice);
    EXPECT_EQ(context.prompt_ids.size(), 5U);
    EXPECT_THAT(context.end_token_ids, ElementsAre(9));
    return std::make_unique<ForcedTokens>(std::vector{20 + context.choice, 30 + context.choice});
  }};
  const auto sink = submit(r);
  EXPECT_THAT(made, ElementsAre(0, 1, 2));
  run_all();
  EXPECT_THAT(made, ElementsAre(0, 1, 2));
  for (int c = 0; c < 3; ++c) {
    EXPECT_THAT(std::span(sink->tokens[static_cast<std::size_t>(c)]).first(2),
                ElementsAre(20 + c, 30 + c));
  }
}

TEST_F(ConstraintTest, TheEndWaitsUntilEveryConstraintAllowsIt) {
  Request r = make_request("a", 5, 60);
  r.sampling.temperature = 0.0F;
  for (std::int32_t t = 0; t < kVocab / 2; ++t) r.stop_token_ids.push_back(t);
  r.min_new_tokens = 6;
  r.constraints = {forced({40, 41, 42, 43})};
  const auto sink = submit(r);
  r.id = "b";
  r.min_new_tokens = 2;
  const auto shorter = submit(r);
  run_all();
  EXPECT_GT(sink->tokens[0].size(), 6U);
  EXPECT_GT(shorter->tokens[0].size(), 4U);
  for (const auto& answer : {sink, shorter}) {
    EXPECT_EQ(answer->reasons[0], FinishReason::kStop);
    for (std::size_t i = 0; i + 1 < answer->tokens[0].size(); ++i) {
      EXPECT_GE(answer->tokens[0][i], kVocab / 2);
    }
  }
}

TEST_F(ConstraintTest, RulesKnowTheLengthThatFitsTheContext) {
  Request r = make_request("a", 5, 10'000);
  const auto rules = std::make_shared<sampling::TokenRules>();
  rules->forced_eos = {60};
  rules->suppressed = {59};
  r.constraints = {[&](const ConstraintContext& context) {
    EXPECT_EQ(context.max_new_tokens, options.max_model_len - 5);
    return std::make_unique<sampling::RuledTokens>(rules, context);
  }};
  const auto sink = submit(r);
  run_all();
  EXPECT_EQ(sink->tokens[0].size(), static_cast<std::size_t>(options.max_model_len - 5));
  EXPECT_EQ(sink->tokens[0].back(), 60);
  EXPECT_EQ(sink->tokens[0], expected_answer(r, 0, kVocab, options).tokens);
}

TEST_F(ConstraintTest, AFailureEndsItsRequestAlone) {
  std::vector<std::shared_ptr<RecordingSink>> failing;
  for (const bool in_mask : {true, false}) {
    Request r = make_request(in_mask ? "mask" : "accept", 5, 8);
    r.constraints = {
        [=](const ConstraintContext&) { return std::make_unique<FailingConstraint>(in_mask); }};
    failing.push_back(submit(r));
  }
  Request fine = make_request("fine", 5, 8);
  const auto sink = submit(fine);
  run_all();
  EXPECT_EQ(failing[0]->errors[0], "grammar: mask failed");
  EXPECT_EQ(failing[1]->errors[0], "grammar: accept failed");
  EXPECT_EQ(failing[0]->codes[0], ErrorCode::kInvalidArgument);
  EXPECT_TRUE(failing[0]->tokens[0].empty());
  EXPECT_TRUE(failing[1]->tokens[0].empty());
  EXPECT_EQ(sink->tokens[0], expected_answer(fine, 0, kVocab, options).tokens);
}

TEST_F(ConstraintTest, AFactoryThatFailsRefusesTheRequest) {
  Request r = make_request("a", 5, 8);
  r.sink = std::make_shared<RecordingSink>(1);
  r.constraints = {[](const ConstraintContext&) -> std::unique_ptr<Constraint> {
    base::fail(ErrorCode::kInvalidArgument, "grammar: cannot be read");
  }};
  EXPECT_THROW(engine.submit(r), Error);
  r.constraints = {[](const ConstraintContext&) { return nullptr; }};
  EXPECT_THROW(engine.submit(r), Error);
  r.constraints.clear();
  EXPECT_NO_THROW(engine.submit(r));  // its id was not taken
  run_all();
}

/// Room for about two of the requests at a time.
class CrowdedConstraintTest : public ConstraintTest {
 protected:
  CrowdedConstraintTest() : ConstraintTest(small_options(4, 22, 6, 22)) {}
};

TEST_F(CrowdedConstraintTest, PreemptionKeepsTheStateAndTheBytesAreThoseOfARunAlone) {
  std::vector<Request> requests;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 6; ++i) {
    Request r = make_request(std::to_string(i), 6 + i, 40);
    r.n_choices = 1 + i % 3;
    r.sampling.seed = static_cast<std::uint64_t>(i);
    r.sampling.temperature = i % 2 == 0 ? 0.0F : 0.9F;
    r.stop_token_ids = {11, 12};
    r.min_new_tokens = 3 * i;
    r.constraints = {hashed(), ruled()};
    requests.push_back(r);
    sinks.push_back(submit(r));
  }
  run_all();
  EXPECT_GT(engine.stats().n_preemptions, 3);
  EXPECT_GT(runner.most_sequences, 1U);  // so several threads sampled at once
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EngineOptions wide = small_options();
    FakeRunner alone_runner(kVocab, wide);
    Engine alone(alone_runner, wide, clock, false);
    Request r = requests[i];
    const auto sink = std::make_shared<RecordingSink>(r.n_choices);
    r.sink = sink;
    alone.submit(r);
    while (alone.step()) {
    }
    EXPECT_EQ(alone.stats().n_preemptions, 0);
    EXPECT_EQ(sinks[i]->tokens, sink->tokens) << i;
    EXPECT_EQ(sinks[i]->logprobs, sink->logprobs) << i;
    for (int c = 0; c < r.n_choices; ++c) {
      EXPECT_EQ(sink->tokens[static_cast<std::size_t>(c)],
                expected_answer(requests[i], c, kVocab, wide).tokens);
    }
  }
}

}  // namespace
}  // namespace openllm::engine

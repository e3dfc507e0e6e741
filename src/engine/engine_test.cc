#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine/test_bench.h"

namespace openllm::engine {
namespace {

using test::Bench;
using test::kVocab;
using test::make_request;
using testing::HasSubstr;

std::string refusal(Bench& b, Request r, ErrorCode code = ErrorCode::kInvalidArgument) {
  try {
    if (r.sink == nullptr) r.sink = std::make_shared<RecordingSink>(1);
    b.engine.submit(std::move(r));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code);
    return e.what();
  }
  return "accepted";
}

TEST(EngineSubmit, RefusesWhatMakesNoSense) {
  Bench b;
  const auto with = [&](const std::function<void(Request&)>& change) {
    Request r = make_request("x", 3, 4);
    change(r);
    return refusal(b, r);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(with([](Request& r) { r.prompt_ids.clear(); }), HasSubstr("empty prompt"));
  EXPECT_THAT(with([](Request& r) { r.prompt_ids[1] = kVocab; }), HasSubstr("prompt token 1"));
  EXPECT_THAT(with([](Request& r) { r.prompt_ids[2] = -1; }), HasSubstr("prompt token 2"));
  EXPECT_THAT(with([](Request& r) { r.n_choices = 0; }), HasSubstr("1 to 128"));
  EXPECT_THAT(with([](Request& r) { r.n_choices = 129; }), HasSubstr("1 to 128"));
  EXPECT_THAT(with([](Request& r) { r.max_new_tokens = -1; }), HasSubstr("max_new_tokens"));
  EXPECT_THAT(with([](Request& r) { r.min_new_tokens = -1; }), HasSubstr("min_new_tokens"));
  EXPECT_THAT(with([&](Request& r) { r.sampling.temperature = nan; }), HasSubstr("temperature"));
  EXPECT_THAT(with([&](Request& r) { r.sampling.top_p = nan; }), HasSubstr("top_p"));
  EXPECT_THAT(with([&](Request& r) { r.sampling.min_p = 1.5F; }), HasSubstr("min_p"));
  EXPECT_THAT(with([&](Request& r) { r.sampling.repetition_penalty = 0.0F; }),
              HasSubstr("repetition_penalty"));
  EXPECT_THAT(with([](Request& r) {
                r.sampling.logit_bias = {{kVocab, 1.0F}};
              }),
              HasSubstr("logit_bias"));
  EXPECT_THAT(with([&](Request& r) {
                r.sampling.logit_bias = {{1, nan}};
              }),
              HasSubstr("logit_bias"));
  EXPECT_THAT(with([](Request& r) { r.prompt_ids.assign(128, 1); }), HasSubstr("at most 127"));
  EXPECT_FALSE(b.engine.step());
}

TEST(EngineSubmit, SomethingMustBeLeftToSayBeforeTheEnd) {
  Bench b;
  Request r = make_request("x", 3, 4);
  r.min_new_tokens = 1;
  for (int id = -1; id < kVocab; ++id) r.stop_token_ids.push_back(id);
  EXPECT_THAT(refusal(b, r), HasSubstr("min_new_tokens: no token is left"));
  Request none = r;
  none.min_new_tokens = 0;  // the first token ends the answer
  EXPECT_EQ(refusal(b, none), "accepted");
  none.id = "y";
  none.min_new_tokens = 1;
  none.max_new_tokens = 0;
  EXPECT_EQ(refusal(b, none), "accepted");
  r.id = "z";
  r.stop_token_ids[5] = r.stop_token_ids[6];
  EXPECT_EQ(refusal(b, r), "accepted");
  b.run_all();
}

TEST(EngineSubmit, IdsAreUniqueWhileRunning) {
  Bench b;
  Request r = make_request("same", 3, 2);
  b.submit(r);
  EXPECT_THAT(refusal(b, r), HasSubstr("already in use"));
  b.run_all();
  b.submit(r);
  b.run_all();
  EXPECT_EQ(b.engine.stats().n_finished, 2);
}

TEST(EngineSubmit, RefusesWhatNeverFitsAndClipsTheRest) {
  EngineOptions o = small_options(4, 5, 6, 16);  // 20 positions
  Bench b(o);
  EXPECT_THAT(refusal(b, make_request("x", 20, 1)),
              HasSubstr("expected at most 19 tokens, got 20"));
  Request r = make_request("y", 15, 100);
  const auto sink = b.submit(r);
  b.run_all();
  EXPECT_EQ(sink->tokens[0].size(), 5U);
  EXPECT_EQ(sink->reasons[0], FinishReason::kLength);
}

TEST(EngineSubmit, QueueIsBounded) {
  EngineOptions o = small_options();
  o.max_queue = 3;
  o.max_sequences = 2;
  Bench b(o);
  EXPECT_EQ(b.engine.stats().max_open(), 5);
  Request r = make_request("a", 3, 2);
  r.n_choices = 4;
  b.submit(r);
  Request one = make_request("b", 3, 2);
  b.submit(one);
  EXPECT_THAT(refusal(b, make_request("c", 3, 2), ErrorCode::kBusy), HasSubstr("queue full"));
  b.engine.step();
  ASSERT_GT(b.engine.stats().n_running, 0);  // who runs counts as well
  EXPECT_THAT(refusal(b, make_request("c", 3, 2), ErrorCode::kBusy), HasSubstr("queue full"));
  b.run_all();
  r.n_choices = 5;
  b.submit(r);  // all at once, when nobody else is there
  b.run_all();
  r.n_choices = 6;  // waiting would not help
  EXPECT_THAT(refusal(b, r, ErrorCode::kInvalidArgument), HasSubstr("at most 5, got 6"));
}

TEST(Engine, StopTokensAndMinimum) {
  Bench b;
  Request r = make_request("a", 5, 20);
  const Expected free_run = expected_answer(r, 0, kVocab, b.options);
  r.stop_token_ids = {free_run.tokens[3], 100000, -5};
  const auto stopped = b.submit(r);
  b.run_all();
  EXPECT_EQ(stopped->reasons[0], FinishReason::kStop);
  EXPECT_LE(stopped->tokens[0].size(), 4U);
  EXPECT_EQ(stopped->tokens[0].back(), free_run.tokens[3]);
  r.min_new_tokens = 10;
  const auto longer = b.submit(r);
  b.run_all();
  EXPECT_GE(longer->tokens[0].size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_NE(longer->tokens[0][i], free_run.tokens[3]);
}

TEST(Engine, ZeroNewTokensGivesPromptOnly) {
  Bench b;
  Request r = make_request("a", 30, 0);
  r.n_choices = 2;
  const auto nothing = b.submit(r);
  b.run_all();
  EXPECT_EQ(b.runner.n_calls, 0);
  EXPECT_EQ(nothing->reasons, (std::vector{FinishReason::kLength, FinishReason::kLength}));

  r.n_prompt_logprobs = 2;
  r.prompt_logits = true;
  const auto scored = b.submit(r);
  b.run_all();
  EXPECT_EQ(scored->prompt.size(), 29U);
  EXPECT_EQ(scored->n_logit_rows, 30);
  EXPECT_EQ(scored->n_ends, (std::vector{1, 1}));
  EXPECT_TRUE(scored->in_order);
  std::vector<float> want(kVocab);
  for (std::size_t i = 0; i < 30; ++i) {
    fake_logits(std::span(r.prompt_ids).first(i + 1), 6, 0, want);
    EXPECT_TRUE(std::equal(want.begin(), want.end(),
                           scored->prompt_logits.begin() + static_cast<long>(i) * kVocab));
  }

  Request whole =
      make_request("full", 128, 0);  // as long as the context: nothing is drawn, so it fits
  whole.prompt_logits = true;
  const auto full = b.submit(whole);
  b.run_all();
  EXPECT_EQ(full->n_logit_rows, 128);
  Request one = make_request("one", 1, 0);
  one.n_prompt_logprobs = 0;
  const auto single = b.submit(one);
  b.run_all();
  EXPECT_EQ(single->reasons[0], FinishReason::kLength);
  EXPECT_TRUE(single->prompt.empty());
}

TEST(Engine, ChoicesShareThePromptAndDiffer) {
  Bench b;
  Request r = make_request("a", 41, 6);
  r.n_choices = 4;
  const auto sink = b.submit(r);
  b.run_all();
  // The prompt once, then per other choice the token behind the last full block; all but one answer
  // token computed.
  EXPECT_EQ(b.engine.stats().n_step_rows, 41 + 3 * 1 + 4 * 5);
  EXPECT_EQ(sink->n_cached, 0);
  for (int c = 0; c < 4; ++c) {
    EXPECT_EQ(sink->tokens[static_cast<std::size_t>(c)],
              expected_answer(r, c, kVocab, b.options).tokens);
  }
  EXPECT_NE(sink->tokens[0], sink->tokens[1]);

  const auto again = b.submit(r);
  b.run_all();
  EXPECT_EQ(again->n_cached, 40);
  EXPECT_EQ(again->tokens, sink->tokens);
}

TEST(Engine, CancellingTheFirstChoiceLetsTheOthersGoOn) {
  Bench b;
  Request r = make_request("a", 41, 6);
  r.n_choices = 3;
  const auto sink = b.submit(r);
  b.engine.step();  // part of the prompt
  b.engine.cancel("a", 0);
  b.run_all();
  EXPECT_EQ(sink->reasons,
            (std::vector{FinishReason::kCancelled, FinishReason::kLength, FinishReason::kLength}));
  EXPECT_EQ(sink->tokens[2], expected_answer(r, 2, kVocab, b.options).tokens);
}

TEST(Engine, SaltAndAdapterSeparatePrefixes) {
  Bench b;
  Request r = make_request("a", 41, 2);
  b.submit(r);
  b.run_all();
  r.prefix_salt = 1;
  EXPECT_EQ((b.submit(r), b.run_all(), b.engine.stats().n_cached_tokens), 0);
  r.adapter = 1;
  EXPECT_EQ((b.submit(r), b.run_all(), b.engine.stats().n_cached_tokens), 0);
  EXPECT_EQ((b.submit(r), b.run_all(), b.engine.stats().n_cached_tokens), 40);
}

TEST(Engine, TenantsAndSaltsShareNoPrefix) {
  Bench b;
  Request r = make_request("a", 41, 2);
  const auto cached = [&](const std::string& tenant, const std::string& salt) {
    r.tenant = tenant;
    r.cache_salt = salt;
    const auto sink = b.submit(r);
    b.run_all();
    return sink->n_cached;
  };
  const std::vector<std::pair<std::string, std::string>> owners = {
      {"", ""}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}};
  for (const auto& [tenant, salt] : owners) EXPECT_EQ(cached(tenant, salt), 0) << tenant << salt;
  for (const auto& [tenant, salt] : owners) EXPECT_EQ(cached(tenant, salt), 40) << tenant << salt;
}

TEST(Engine, CancelAndDeadlineFreeBlocksBeforeTheNextStep) {
  Bench b;
  Request a = make_request("a", 20, 50);
  Request d = make_request("d", 20, 50);
  d.deadline = b.clock.time + std::chrono::milliseconds(5);
  const auto cancelled = b.submit(a);
  const auto late = b.submit(d);
  for (int i = 0; i < 5; ++i) b.engine.step();
  EXPECT_LT(b.engine.stats().n_blocks_free, b.engine.stats().n_blocks_total);
  b.engine.cancel("a");
  b.engine.cancel("unknown");
  b.clock.time += std::chrono::milliseconds(5);
  const int calls = b.runner.n_calls;
  b.engine.step();
  EXPECT_EQ(b.runner.n_calls, calls);
  EXPECT_EQ(cancelled->reasons[0], FinishReason::kCancelled);
  EXPECT_EQ(late->reasons[0], FinishReason::kDeadline);
  EXPECT_EQ(b.engine.stats().n_blocks_free, b.engine.stats().n_blocks_total);
}

TEST(Engine, ShuttingDownEndsEveryRequestWithItsFailure) {
  Bench b;
  Request running = make_request("a", 20, 50);
  Request queued = make_request("b", 20, 50);
  const auto first = b.submit(running);
  for (int i = 0; i < 4; ++i) b.engine.step();
  const auto second = b.submit(queued);
  b.engine.shut_down({ErrorCode::kUnavailable, "gone"});
  for (const auto& sink : {first, second}) {
    EXPECT_EQ(sink->reasons[0], FinishReason::kError);
    EXPECT_EQ(sink->codes[0], ErrorCode::kUnavailable);
    EXPECT_EQ(sink->errors[0], "gone");
    EXPECT_EQ(sink->n_ends[0], 1);
  }
  EXPECT_FALSE(first->tokens[0].empty());
  EXPECT_THAT(refusal(b, make_request("c", 3, 3), ErrorCode::kUnavailable),
              HasSubstr("shutting down"));
  b.engine.cancel("a");  // ignored
  EXPECT_EQ(b.engine.stats().n_blocks_free, b.engine.stats().n_blocks_total);
}

TEST(Engine, LowerPriorityTakesThePlaceOfHigher) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  Request low = make_request("low", 10, 20);
  const auto low_sink = b.submit(low);
  for (int i = 0; i < 4; ++i) b.engine.step();
  Request high = make_request("high", 10, 3);
  high.priority = -1;
  const auto high_sink = b.submit(high);
  while (!high_sink->ended()) b.engine.step();
  EXPECT_FALSE(low_sink->ended());
  EXPECT_EQ(b.engine.stats().n_preemptions, 1);
  b.run_all();
  EXPECT_EQ(low_sink->tokens[0], expected_answer(low, 0, kVocab, b.options).tokens);
}

TEST(Engine, TwoThatDoNotFitTogetherBothEnd) {
  EngineOptions o = small_options(4, 10, 6, 10);
  o.prefix_caching = false;
  Bench b(o);
  Request r = make_request("a", 8, 30);
  Request s = make_request("b", 9, 30);
  const auto first = b.submit(r);
  const auto second = b.submit(s);
  b.run_all();
  EXPECT_EQ(first->tokens[0], expected_answer(r, 0, kVocab, b.options).tokens);
  EXPECT_EQ(second->tokens[0], expected_answer(s, 0, kVocab, b.options).tokens);
  EXPECT_GE(b.engine.stats().n_preemptions, 1);
  EXPECT_LE(b.engine.stats().n_preemptions, 3);
}

TEST(Engine, RopeLengthIsTheAdmittedLengthAndPartOfThePrefixIfAsked) {
  EngineOptions o = small_options();
  o.rope_depends_on_length = true;
  Bench b(o);
  Request r = make_request("a", 41, 2);
  b.submit(r);
  b.run_all();
  r.max_new_tokens = 3;
  EXPECT_EQ((b.submit(r), b.run_all(), b.engine.stats().n_cached_tokens), 0);
  EXPECT_EQ((b.submit(r), b.run_all(), b.engine.stats().n_cached_tokens), 40);
}

}  // namespace
}  // namespace openllm::engine

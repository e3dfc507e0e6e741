// Scheduling of single steps: deadlines, ranks, preemption, counters.

#include <gmock/gmock.h>

#include <chrono>

#include "engine/test_bench.h"

namespace openllm::engine {
namespace {

using std::chrono::milliseconds;
using test::Bench;
using test::kVocab;
using test::make_request;
using testing::ElementsAre;
using testing::HasSubstr;

/// Steps until the sink has its end; false when it takes more than `most` steps.
bool run_until_ended(Bench& b, const RecordingSink& sink, int most = 500) {
  for (int i = 0; i < most && !sink.ended(); ++i) b.engine.step();
  return sink.ended();
}

TEST(CoreDeadlines, EachRequestEndsAtItsOwn) {
  Bench b;
  struct Case {
    int deadline_ms;  ///< < 0: none.
    int ends_at_ms;   ///< < 0: never.
  };
  const std::vector<Case> cases = {{30, 30}, {10, 10}, {-1, -1}, {20, 20}, {40, 40}, {20, 20}};
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Request r = make_request(std::to_string(i), 3, 100);
    if (cases[i].deadline_ms >= 0) r.deadline = b.clock.time + milliseconds(cases[i].deadline_ms);
    sinks.push_back(b.submit(r));
  }
  const base::Clock::TimePoint start = b.clock.time;
  for (const int now : {0, 9, 10, 19, 20, 21, 30, 39, 40}) {
    b.clock.time = start + milliseconds(now);
    b.engine.step();
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const bool over = cases[i].ends_at_ms >= 0 && cases[i].ends_at_ms <= now;
      EXPECT_EQ(sinks[i]->ended(), over) << "request " << i << " at " << now << " ms";
      if (over) {
        EXPECT_EQ(sinks[i]->reasons[0], FinishReason::kDeadline);
      }
    }
  }
  // One that comes when others have passed counts as well.
  Request r = make_request("later", 3, 100);
  r.deadline = b.clock.time + milliseconds(5);
  const auto later = b.submit(r);
  b.engine.step();
  EXPECT_FALSE(later->ended());
  b.clock.time += milliseconds(5);
  b.engine.step();
  EXPECT_TRUE(later->ended());
  EXPECT_FALSE(sinks[2]->ended());
}

TEST(CoreDeadlines, AllChoicesEndAlsoThoseThatWait) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  Request r = make_request("a", 3, 100);
  r.n_choices = 3;
  r.deadline = b.clock.time + milliseconds(1);
  const auto sink = b.submit(r);
  b.engine.step();
  b.clock.time += milliseconds(1);
  b.engine.step();
  EXPECT_THAT(sink->reasons, testing::Each(FinishReason::kDeadline));
  EXPECT_THAT(sink->n_ends, testing::Each(1));
  EXPECT_FALSE(b.engine.step());
}

TEST(CoreRank, EqualPriorityNeverTakesAPlace) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  Request first = make_request("first", 10, 20);
  Request second = make_request("second", 9, 3);
  first.priority = second.priority = 2;
  const auto first_sink = b.submit(first);
  const auto second_sink = b.submit(second);
  ASSERT_TRUE(run_until_ended(b, *first_sink, 30));
  EXPECT_TRUE(second_sink->tokens[0].empty());
  ASSERT_TRUE(run_until_ended(b, *second_sink, 30));
  EXPECT_EQ(b.engine.stats().n_preemptions, 0);
}

/// Without room for two: the same, decided by blocks instead of places.
TEST(CoreRank, EqualPriorityNeverTakesBlocksOfARunningOne) {
  EngineOptions o = small_options(4, 10, 6, 10);
  o.prefix_caching = false;
  Bench b(o);
  Request first = make_request("first", 30, 8);
  Request second = make_request("second", 29, 8);
  const auto first_sink = b.submit(first);
  const auto second_sink = b.submit(second);
  ASSERT_TRUE(run_until_ended(b, *first_sink, 30));
  EXPECT_TRUE(second_sink->tokens[0].empty());
  ASSERT_TRUE(run_until_ended(b, *second_sink, 30));
  EXPECT_EQ(b.engine.stats().n_preemptions, 0);
}

TEST(CoreRank, LowerPriorityRunsFirstThenEarlierArrival) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  const int priorities[] = {0, 1, -3, 0, -3};
  for (std::size_t i = 0; i < 5; ++i) {
    Request r = make_request(std::to_string(i), 3, 2);
    r.priority = priorities[i];
    sinks.push_back(b.submit(r));
  }
  std::vector<std::size_t> order;
  for (int step = 0; step < 30; ++step) {
    b.engine.step();
    for (std::size_t i = 0; i < 5; ++i) {
      if (sinks[i]->ended() && std::count(order.begin(), order.end(), i) == 0) order.push_back(i);
    }
  }
  EXPECT_THAT(order, ElementsAre(2, 4, 0, 3, 1));
}

TEST(CoreRank, NobodyOvertakesOneThatDoesNotFit) {
  EngineOptions o = small_options(4, 11, 6, 11);
  o.prefix_caching = false;
  Bench b(o);
  Request running = make_request("running", 20, 12);
  Request large = make_request("large", 24, 4);
  Request small = make_request("small", 2, 1);
  const auto running_sink = b.submit(running);
  b.engine.step();
  const auto large_sink = b.submit(large);
  const auto small_sink = b.submit(small);
  ASSERT_TRUE(run_until_ended(b, *running_sink, 40));
  EXPECT_TRUE(large_sink->tokens[0].empty());
  EXPECT_TRUE(small_sink->tokens[0].empty());
  b.run_all();
  EXPECT_TRUE(small_sink->ended() && large_sink->ended());
}

TEST(CorePreemption, StartsAgainWithTheSameAnswerAndCounts) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  o.prefix_caching = false;
  Bench b(o);
  Request low = make_request("low", 41, 4);
  const auto low_sink = b.submit(low);
  b.engine.step();  // 16 of 41 rows
  EXPECT_EQ(b.engine.stats().n_split_prefills, 1);
  b.engine.step();
  EXPECT_EQ(b.engine.stats().n_split_prefills, 1);  // once for each time the prompt is computed
  Request high = make_request("high", 3, 1);
  high.priority = -1;
  const auto high_sink = b.submit(high);
  b.engine.step();
  EXPECT_TRUE(high_sink->ended());
  EXPECT_EQ(b.engine.stats().n_split_prefills, 1);  // "high" ran in one piece
  b.run_all();
  EXPECT_EQ(b.engine.stats().n_split_prefills, 2);
  EXPECT_EQ(b.engine.stats().n_preemptions, 1);
  EXPECT_EQ(b.engine.stats().n_step_rows, 32 + 3 + 41 + 3);
  EXPECT_EQ(low_sink->tokens[0], expected_answer(low, 0, kVocab, b.options).tokens);
}

TEST(CorePreemption, CachedTokensAreThoseOfTheFirstRun) {
  EngineOptions o = small_options();
  o.max_sequences = 1;
  Bench b(o);
  Request low = make_request("low", 13, 20);
  const auto low_sink = b.submit(low);
  for (int i = 0; i < 8; ++i) b.engine.step();
  Request high = make_request("high", 3, 1);
  high.prompt_ids[0] = 60;
  high.priority = -1;
  b.submit(high);
  b.run_all();  // "low" finds its own blocks when it comes back
  EXPECT_EQ(b.engine.stats().n_preemptions, 1);
  EXPECT_EQ(low_sink->n_cached, 0);
  EXPECT_EQ(b.engine.stats().n_cached_tokens, 0);
  EXPECT_LT(b.engine.stats().n_step_rows, 13 + 3 + 13 + 20);
  EXPECT_EQ(low_sink->tokens[0], expected_answer(low, 0, kVocab, b.options).tokens);
}

TEST(CoreCache, CountsWholeBlocksAndLeavesOneTokenToCompute) {
  struct Case {
    int n_prompt;
    int n_cached;
  };
  // Blocks of 4. A prompt of whole blocks computes its last block again: its logits are wanted.
  for (const Case& c : {Case{3, 0}, Case{4, 0}, Case{5, 4}, Case{8, 4}, Case{9, 8}, Case{41, 40}}) {
    Bench b;
    Request r = make_request("a", c.n_prompt, 2);
    b.submit(r);
    b.run_all();
    const std::int64_t rows = b.engine.stats().n_step_rows;
    const auto again = b.submit(r);
    b.run_all();
    EXPECT_EQ(again->n_cached, c.n_cached) << c.n_prompt;
    EXPECT_EQ(b.engine.stats().n_step_rows - rows, rows - c.n_cached) << c.n_prompt;
    EXPECT_EQ(again->tokens[0], expected_answer(r, 0, kVocab, b.options).tokens);
  }
}

TEST(CoreCache, AnswersServeAsPrefixOnlyIfCachingIsOn) {
  for (const bool caching : {true, false}) {
    EngineOptions o = small_options();
    o.prefix_caching = caching;
    Bench b(o);
    Request r = make_request("a", 9, 8);
    const auto sink = b.submit(r);
    b.run_all();
    Request next = r;
    const auto& answer = sink->tokens[0];
    next.prompt_ids.insert(next.prompt_ids.end(), answer.begin(), answer.end());
    next.prompt_ids.push_back(1);
    const auto second = b.submit(next);  // 18 tokens, of which 16 were computed: 9 + 7
    b.run_all();
    EXPECT_EQ(second->n_cached, caching ? 16 : 0);
    EXPECT_EQ(second->tokens[0], expected_answer(next, 0, kVocab, b.options).tokens);
  }
}

TEST(CoreCache, ChoicesWaitForTheFirstOnlyToFindItsPrompt) {
  for (const bool caching : {true, false}) {
    EngineOptions o = small_options();
    o.prefix_caching = caching;
    Bench b(o);
    Request r = make_request("a", 41, 2);
    r.n_choices = 3;
    b.submit(r);
    b.engine.step();
    EXPECT_EQ(b.engine.stats().n_running, caching ? 1 : 3);
    EXPECT_EQ(b.engine.stats().n_waiting, caching ? 2 : 0);
    b.run_all();
    EXPECT_EQ(b.engine.stats().n_step_rows, caching ? 41 + 2 + 3 : 3 * 42);
  }
}

TEST(CoreCache, ReportsOfThePromptNeedAllOfIt) {
  Bench b;
  Request r = make_request("a", 21, 2);
  b.submit(r);
  b.run_all();
  r.n_prompt_logprobs = 0;
  const auto scored = b.submit(r);
  b.run_all();
  EXPECT_EQ(scored->n_cached, 0);
  EXPECT_EQ(scored->prompt.size(), 20U);
}

TEST(CoreStats, CountWhatHappened) {
  Bench b;
  // 14 rows beside the 2 of "c", then 6 beside a decode, then two decodes.
  Request a = make_request("a", 20, 3);
  Request c = make_request("c", 2, 2);
  c.prompt_ids = {50, 51};
  b.submit(a);
  b.submit(c);
  EXPECT_EQ(b.engine.stats().n_waiting, 2);
  EXPECT_EQ(b.engine.stats().n_running, 0);
  b.engine.step();
  EXPECT_EQ(b.engine.stats().n_waiting, 0);
  EXPECT_EQ(b.engine.stats().n_running, 2);
  b.run_all();
  const EngineStats s = b.engine.stats();
  EXPECT_EQ(s.n_requests, 2);
  EXPECT_EQ(s.n_finished, 2);
  EXPECT_EQ(s.n_running + s.n_waiting, 0);
  EXPECT_EQ(s.n_prompt_tokens, 22);
  EXPECT_EQ(s.n_generated_tokens, 5);
  EXPECT_EQ(s.n_step_rows, 20 + 2 + 2 + 1);
  EXPECT_EQ(s.n_steps, 4);
  EXPECT_EQ(s.n_step_sequences, 2 + 2 + 1 + 1);
  EXPECT_EQ(s.n_split_prefills, 1);
  EXPECT_EQ(s.n_cached_tokens, 0);
  EXPECT_EQ(s.n_preemptions, 0);
  EXPECT_EQ(s.n_blocks_total, 128);
  EXPECT_EQ(s.max_running, 8);
  EXPECT_EQ(s.max_waiting, b.options.max_queue);
}

TEST(CoreOptions, TheSmallestOfThreeLimitsBoundsTheRunning) {
  struct Case {
    int sequences, rows, outputs;
    int most;
  };
  for (const Case& c : {Case{3, 16, 8, 3}, Case{8, 2, 8, 2}, Case{8, 16, 4, 4}}) {
    EngineOptions o = small_options();
    o.max_sequences = c.sequences;
    o.max_step_tokens = c.rows;
    o.max_output_rows = c.outputs;
    Bench b(o);
    EXPECT_EQ(b.engine.stats().max_running, c.most);
    for (int i = 0; i < 6; ++i) {
      Request r = make_request(std::to_string(i), 1, 5);
      b.submit(r);
    }
    b.run_all();
    EXPECT_EQ(b.runner.most_sequences, static_cast<std::size_t>(c.most));
  }
}

TEST(CoreOptions, ZeroIsRefusedByName) {
  const std::vector<std::pair<const char*, int EngineOptions::*>> fields = {
      {"max_step_tokens", &EngineOptions::max_step_tokens},
      {"max_sequences", &EngineOptions::max_sequences},
      {"max_output_rows", &EngineOptions::max_output_rows},
      {"max_queue", &EngineOptions::max_queue},
      {"max_model_len", &EngineOptions::max_model_len}};
  const EngineOptions good = small_options();
  FakeRunner runner(kVocab, good);
  FakeClock clock;
  for (const auto& [name, field] : fields) {
    EngineOptions o = good;
    o.*field = 1;
    EXPECT_NO_THROW(Engine(runner, o, clock, false)) << name;
    o.*field = 0;
    try {
      Engine engine(runner, o, clock, false);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  }
}

TEST(CoreEnds, ChoicesThatAreNotThereOrOverAreIgnored) {
  Bench b;
  Request r = make_request("a", 3, 6);
  r.n_choices = 2;
  const auto sink = b.submit(r);
  b.engine.step();
  b.engine.cancel("a", 2);
  b.engine.stop_choice("a", 2);
  b.engine.stop_choice("b", 0);
  b.engine.stop_choice("a", 1);
  b.engine.cancel("a", 1);
  b.run_all();
  EXPECT_EQ(sink->reasons, (std::vector{FinishReason::kLength, FinishReason::kStop}));
  EXPECT_THAT(sink->n_ends, ElementsAre(1, 1));
  EXPECT_EQ(sink->tokens[0].size(), 6U);
}

TEST(CoreEnds, StopAndLengthTogetherAreAStop) {
  Bench b;
  Request r = make_request("a", 5, 4);
  const Expected expected = expected_answer(r, 0, kVocab, b.options);
  ASSERT_EQ(std::count(expected.tokens.begin(), expected.tokens.begin() + 3, expected.tokens[3]),
            0);
  r.stop_token_ids = {expected.tokens[3]};
  const auto sink = b.submit(r);
  b.run_all();
  EXPECT_EQ(sink->tokens[0], expected.tokens);
  EXPECT_EQ(sink->reasons[0], FinishReason::kStop);
}

/// Keeps the numbers of likely tokens that come with each token.
class TopSink final : public RecordingSink {
 public:
  TopSink() : RecordingSink(1) {}
  void on_token(int /*choice*/, TokenEvent event) noexcept override {
    n_top.push_back(event.top.size());
    has_logprob.push_back(event.logprob < 0.0F);
  }
  std::vector<std::size_t> n_top{};
  std::vector<bool> has_logprob{};
};

TEST(CoreLogprobs, AnswersAndPromptsGetAsManyAsTheyAskFor) {
  for (const int n : {-1, 0, 3}) {
    for (const int n_prompt : {-1, 0, 5}) {
      Bench b;
      Request r = make_request("a", 20, 2);
      r.n_logprobs = n;
      r.n_prompt_logprobs = n_prompt;
      const auto sink = std::make_shared<TopSink>();
      r.sink = sink;
      b.engine.submit(r);
      b.run_all();
      EXPECT_THAT(sink->n_top, testing::Each(n < 0 ? 0U : static_cast<std::size_t>(n)));
      EXPECT_THAT(sink->has_logprob, ElementsAre(n >= 0, n >= 0));
      ASSERT_EQ(sink->prompt.size(), n_prompt < 0 ? 0U : 19U);
      for (std::size_t i = 0; i < sink->prompt.size(); ++i) {
        EXPECT_EQ(sink->prompt[i].token, r.prompt_ids[i + 1]);
        EXPECT_EQ(sink->prompt[i].top.size(), static_cast<std::size_t>(n_prompt));
        EXPECT_LT(sink->prompt[i].logprob, 0.0F);
      }
    }
  }
}

/// Keeps which tokens were said to be the last one of their choice.
class LastSink final : public RecordingSink {
 public:
  explicit LastSink(int n_choices) : RecordingSink(n_choices) {}
  void on_token(int choice, TokenEvent event) noexcept override {
    is_last.emplace_back(choice, event.is_last);
  }
  std::vector<std::pair<int, bool>> is_last{};
};

TEST(CoreEnds, TheLastTokenOfAChoiceSaysSo) {
  Bench b;
  Request r = make_request("a", 4, 3);
  r.n_choices = 2;
  const auto sink = std::make_shared<LastSink>(2);
  r.sink = sink;
  b.engine.submit(r);
  b.run_all();
  for (const int choice : {0, 1}) {
    std::vector<bool> is_last;
    for (const auto& [whose, last] : sink->is_last)
      if (whose == choice) is_last.push_back(last);
    EXPECT_THAT(is_last, ElementsAre(false, false, true));
  }
  // One that is cancelled between two steps has no last token.
  Request later = make_request("b", 4, 3);
  const auto cancelled = std::make_shared<LastSink>(1);
  later.sink = cancelled;
  b.engine.submit(later);
  b.engine.step();
  b.engine.cancel("b");
  b.run_all();
  for (const auto& [choice, is_last] : cancelled->is_last) EXPECT_FALSE(is_last);
}

}  // namespace
}  // namespace openllm::engine

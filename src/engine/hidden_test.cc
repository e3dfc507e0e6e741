// Requests for hidden states: in chunks and from the cache where rows see what is before them, in
// one piece where they see the whole sequence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_bench.h"

namespace openllm::engine::test {
namespace {

Request hidden_request(const std::string& id, int n_prompt, PromptRows rows) {
  Request r = make_request(id, n_prompt, 0);
  r.hidden = rows;
  return r;
}

EngineOptions whole_options() {
  EngineOptions o = small_options();
  o.kv_groups.clear();
  o.blocks_per_group.clear();
  o.max_step_tokens = 40;
  o.max_model_len = 40;
  o.prefix_caching = false;
  o.whole_sequences = true;
  return o;
}

/// Those hidden states of a prompt of that length, computed alone.
std::vector<float> alone(const EngineOptions& options, int n_prompt, PromptRows rows) {
  Bench bench(options);
  Request r = hidden_request("alone", n_prompt, rows);
  const auto sink = bench.submit(r);
  bench.run_all();
  EXPECT_EQ(sink->hidden.size(),
            static_cast<std::size_t>(rows.end - rows.begin) * FakeRunner::kHidden);
  return sink->hidden;
}

TEST(HiddenStates, ComeInOrderHoweverThePromptIsCut) {
  Bench bench;
  Request embedded = hidden_request("a", 50, {0, 50});
  Request answered = make_request("b", 9, 12);
  const auto sink = bench.submit(embedded);
  const auto other = bench.submit(answered);
  bench.run_all();
  EXPECT_TRUE(sink->in_order);
  EXPECT_EQ(sink->reasons[0], FinishReason::kLength);
  EXPECT_TRUE(sink->tokens[0].empty());
  EXPECT_GT(bench.engine.stats().n_split_prefills, 0);
  EngineOptions large = small_options();
  large.max_step_tokens = 64;
  EXPECT_EQ(sink->hidden, alone(large, 50, {0, 50}));
  EXPECT_EQ(other->tokens[0], expected_answer(answered, 0, kVocab, bench.options).tokens);
}

TEST(HiddenStates, OfTheLastTokenNeedOnlyWhatTheCacheDoesNotHave) {
  Bench bench;
  Request first = hidden_request("a", 30, {29, 30});
  const auto cold = bench.submit(first);
  bench.run_all();
  Request again = hidden_request("b", 30, {29, 30});
  const auto warm = bench.submit(again);
  bench.run_all();
  EXPECT_EQ(cold->n_cached, 0);
  EXPECT_EQ(warm->n_cached, 28) << "the full blocks before it";
  EXPECT_EQ(warm->hidden, cold->hidden);
  Request mean = hidden_request("c", 30, {0, 30});
  const auto all = bench.submit(mean);
  bench.run_all();
  EXPECT_EQ(all->n_cached, 0) << "every row is wanted";
  EXPECT_TRUE(std::equal(cold->hidden.begin(), cold->hidden.end(),
                         all->hidden.end() - std::ptrdiff_t{FakeRunner::kHidden}));
}

TEST(HiddenStates, AreDeliveredOnceAcrossPreemption) {
  EngineOptions o = small_options(4, 16, 6, 16);
  o.max_step_tokens = 8;
  Bench bench(o);
  Request low = hidden_request("low", 40, {0, 40});
  low.priority = 1;
  const auto sink = bench.submit(low);
  for (int i = 0; i < 2; ++i) bench.engine.step();
  Request urgent = make_request("urgent", 40, 4);
  const auto other = bench.submit(urgent);
  bench.run_all();
  EXPECT_GT(bench.engine.stats().n_preemptions, 0);
  EXPECT_TRUE(sink->in_order);
  EngineOptions large = small_options();
  large.max_step_tokens = 64;
  EXPECT_EQ(sink->hidden, alone(large, 40, {0, 40}));
  EXPECT_TRUE(other->ended());
}

TEST(WholeSequences, AreNeverCutAndShareSteps) {
  Bench bench(whole_options());
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  const int lengths[] = {40, 1, 17, 5, 33};
  for (const int n : lengths) {
    Request r = hidden_request("r" + std::to_string(n), n, {0, n});
    sinks.push_back(bench.submit(r));
  }
  bench.run_all();
  EXPECT_EQ(bench.engine.stats().n_split_prefills, 0);
  EXPECT_GT(bench.runner.most_sequences, 1U) << "short ones go together";
  for (std::size_t i = 0; i < sinks.size(); ++i)
    EXPECT_EQ(sinks[i]->hidden, alone(whole_options(), lengths[i], {0, lengths[i]})) << i;
}

TEST(WholeSequences, GiveNothingElse) {
  Bench bench(whole_options());
  Request answer = make_request("a", 5, 3);
  EXPECT_THROW(bench.submit(answer), Error);
  Request logits = hidden_request("b", 5, {0, 5});
  logits.prompt_logits = true;
  EXPECT_THROW(bench.submit(logits), Error);
  Request typed = hidden_request("c", 5, {0, 5});
  typed.token_types = {0, 1};
  EXPECT_THROW(bench.submit(typed), Error) << "one for each token";
  typed.token_types = {0, 0, 1, 1, 1};
  EXPECT_NO_THROW(bench.submit(typed));
  bench.run_all();
}

TEST(WholeSequences, CanBeCancelledAndHaveDeadlines) {
  Bench bench(whole_options());
  Request first = hidden_request("a", 20, {0, 1});
  Request second = hidden_request("b", 20, {0, 1});
  second.deadline = bench.clock.time;
  const auto cancelled = bench.submit(first);
  const auto late = bench.submit(second);
  bench.engine.cancel("a");
  bench.run_all();
  EXPECT_EQ(cancelled->reasons[0], FinishReason::kCancelled);
  EXPECT_EQ(late->reasons[0], FinishReason::kDeadline);
  EXPECT_TRUE(cancelled->hidden.empty() && late->hidden.empty());
}

TEST(HiddenStates, RowsMustBeOfThePrompt) {
  Bench bench;
  for (const PromptRows rows : {PromptRows{-1, 2}, PromptRows{0, 6}}) {
    Request r = hidden_request("a", 5, rows);
    EXPECT_THROW(bench.submit(r), Error);
  }
  Request typed = hidden_request("b", 2, {0, 2});
  typed.token_types = {0, 1};
  EXPECT_THROW(bench.submit(typed), Error) << "cached blocks do not know of types";
}

}  // namespace
}  // namespace openllm::engine::test

// Beam search: its numbers, and beams as sequences that share blocks. That the answers are those of
// transformers is shown with real models, in backend/seq2seq_test.cc.

#include "engine/beam_search.h"

#include <gmock/gmock.h>

#include "engine/test_bench.h"

namespace openllm::engine::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

BeamExpansions expansions(std::vector<std::pair<std::int32_t, float>> tokens) {
  BeamExpansions all;
  for (const auto& [token, score] : tokens) all.tokens.push_back({token, score, score});
  return all;
}

std::vector<std::int32_t> ids_of(const BeamText& text) {
  std::vector<std::int32_t> ids;
  for (const TokenEvent& event : text.tokens) ids.push_back(event.token);
  return ids;
}

constexpr std::int32_t kEnd = 9;

TEST(BeamSearch, KeepsTheLikeliestTextsNotTheLikeliestTokens) {
  BeamSearch search({.n_beams = 2}, {kEnd}, 2);
  EXPECT_EQ(search.n_expansions(), 4U);
  EXPECT_EQ(search.n_running(), 1U);
  search.advance(std::vector{expansions({{1, -0.5F}, {2, -0.9F}, {3, -3.0F}})});
  ASSERT_THAT(search.next(), SizeIs(2));
  search.advance(
      std::vector{expansions({{4, -2.0F}, {5, -2.1F}}), expansions({{6, -0.1F}, {7, -3.0F}})});
  EXPECT_TRUE(search.is_over());
  const std::vector<BeamText> best = search.best(2, false);
  ASSERT_THAT(best, SizeIs(2));
  EXPECT_THAT(ids_of(best[0]), ElementsAre(2, 6));
  EXPECT_FLOAT_EQ(best[0].score, -0.5F);  // of two tokens
  EXPECT_THAT(ids_of(best[1]), ElementsAre(1, 4));
  EXPECT_FALSE(search.ends_with_end(best[0]));
}

TEST(BeamSearch, StopsWhenFullOnlyIfAsked) {
  using Stopping = BeamOptions::Stopping;
  for (const Stopping stopping : {Stopping::kWhenFull, Stopping::kWhenSure}) {
    BeamSearch search({.n_beams = 1, .stopping = stopping}, {kEnd}, 10);
    search.advance(std::vector{expansions({{kEnd, -1.0F}, {2, -1.5F}})});
    EXPECT_EQ(search.is_over(), stopping == Stopping::kWhenFull);
  }
}

TEST(BeamSearch, LengthPenaltyRanksFinishedTexts) {
  BeamSearch search({.n_beams = 2, .length_penalty = 2.0F}, {kEnd}, 2);
  search.advance(std::vector{expansions({{kEnd, -1.0F}, {2, -1.2F}, {3, -4.0F}})});
  search.advance(std::vector{expansions({{kEnd, -1.4F}, {5, -3.0F}}), expansions({{kEnd, -1.0F}})});
  const std::vector<BeamText> best = search.best(2, false);
  EXPECT_THAT(ids_of(best[0]), ElementsAre(2, kEnd));
  EXPECT_FLOAT_EQ(best[0].score, -2.6F / 4.0F);
  EXPECT_FLOAT_EQ(best[1].score, -1.0F);
  EXPECT_TRUE(search.ends_with_end(best[1]));
}

TEST(BeamSearch, GroupsKeepFromWhatOthersTook) {
  BeamSearch search({.n_beams = 2, .n_groups = 2, .diversity_penalty = 2.0F}, {}, 1);
  EXPECT_EQ(search.n_expansions(), 4U);
  search.advance(std::vector{expansions({{1, -0.1F}, {2, -1.0F}})});
  // All texts end at once, so none was taken by a running beam.
  EXPECT_THAT(ids_of(search.best(2, false)[1]), ElementsAre(1));
  BeamSearch longer({.n_beams = 2, .n_groups = 2, .diversity_penalty = 2.0F}, {}, 2);
  longer.advance(std::vector{expansions({{1, -0.1F}, {2, -1.0F}})});
  ASSERT_THAT(longer.next(), SizeIs(2));
  EXPECT_EQ(longer.next()[0].token, 1);
  EXPECT_EQ(longer.next()[1].token, 2);
}

Request search_request(const std::string& id, int n_prompt, int max_new, int n_beams, int n) {
  Request r = make_request(id, n_prompt, max_new);
  r.beams.n_beams = n_beams;
  r.n_choices = n;
  r.stop_token_ids = {3, 17};
  r.n_logprobs = 2;
  return r;
}

struct Found {
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<float> scores;
  bool operator==(const Found&) const = default;
};
Found found(const RecordingSink& sink) { return {sink.tokens, sink.scores}; }

Found search_alone(const Request& given, EngineOptions options = small_options()) {
  Bench bench(options);
  Request r = given;
  const auto sink = bench.submit(r);
  bench.run_all();
  EXPECT_TRUE(sink->ended());
  EXPECT_TRUE(sink->in_order);
  return found(*sink);
}

TEST(BeamEngine, SharesBlocksAndCopiesThemWhenWritten) {
  Bench bench;
  Request r = search_request("a", 10, 14, 4, 4);
  const auto sink = bench.submit(r);
  bench.run_all();
  ASSERT_TRUE(sink->ended());
  EXPECT_TRUE(std::is_sorted(sink->scores.rbegin(), sink->scores.rend()));
  EXPECT_GT(bench.runner.n_copies, 0U);
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_FALSE(sink->tokens[i].empty());
    const bool stops = sink->tokens[i].back() == 3 || sink->tokens[i].back() == 17;
    EXPECT_EQ(sink->reasons[i], stops ? FinishReason::kStop : FinishReason::kLength);
    double sum = 0;
    for (const float logprob : sink->logprobs[i]) sum += static_cast<double>(logprob);
    EXPECT_NEAR(sum / static_cast<double>(sink->tokens[i].size()),
                static_cast<double>(sink->scores[i]), 1e-5);
  }
}

TEST(BeamEngine, TheAnswerDoesNotDependOnBlocksOrPreemption) {
  Request r = search_request("a", 9, 20, 5, 3);
  const Found expected = search_alone(r);
  EXPECT_EQ(search_alone(r, small_options(1)), expected);
  EXPECT_EQ(search_alone(r, small_options(16)), expected);
  for (const int n_blocks : {9, 11, 14}) {
    EngineOptions tight = small_options(4, n_blocks, 6, n_blocks);
    Bench bench(tight);
    Request again = r;
    const auto sink = bench.submit(again);
    bench.run_all();
    EXPECT_EQ(found(*sink), expected) << n_blocks;
    if (n_blocks < 14) {
      EXPECT_GT(bench.engine.stats().n_preemptions, 0) << n_blocks;
    }
  }
}

TEST(BeamEngine, BeamsAreComputedAgainWhereTheRunnerKeepsSequencesByTheirNumbers) {
  EngineOptions options = small_options();
  options.prefix_caching = false;
  Request r = search_request("a", 9, 20, 5, 3);
  Bench bench(options);
  bench.runner.keeps_by_id = true;
  Request again = r;
  const auto sink = bench.submit(again);
  bench.run_all();
  EXPECT_EQ(found(*sink), search_alone(r));
  EXPECT_EQ(bench.runner.n_copies, 0U);
}

TEST(BeamEngine, SearchesAmongOthersAnswerAsAlone) {
  Bench bench(small_options(4, 40, 6, 40));
  std::vector<Request> requests;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 9; ++i) {
    const std::string id = "r" + std::to_string(i);
    requests.push_back(i % 3 == 0 ? make_request(id, 5 + i, 12)
                                  : search_request(id, 4 + 2 * i, 10 + i, 2 + i % 4, 1 + i % 2));
    requests.back().priority = i % 2;
    sinks.push_back(bench.submit(requests.back()));
  }
  bench.run_all();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(sinks[i]->ended()) << i;
    if (i % 3 == 0) {
      EXPECT_EQ(sinks[i]->tokens[0], expected_answer(requests[i], 0, kVocab, bench.options).tokens);
    } else {
      EXPECT_EQ(found(*sinks[i]), search_alone(requests[i])) << i;
    }
  }
}

TEST(BeamEngine, ConstraintsAndPenaltiesFollowEachBeam) {
  Request r = search_request("a", 6, 12, 4, 4);
  r.min_new_tokens = 5;
  r.sampling.repetition_penalty = 1.5F;
  for (const auto& tokens : search_alone(r).tokens) EXPECT_GE(tokens.size(), 5U);
}

TEST(BeamEngine, CancellationEndsItAndFreesEverything) {
  Bench bench;
  Request r = search_request("a", 10, 40, 4, 2);
  r.stop_token_ids.clear();
  const auto sink = bench.submit(r);
  for (int i = 0; i < 6; ++i) bench.engine.step();
  bench.engine.cancel("a", 1);
  bench.engine.step();
  EXPECT_EQ(sink->n_ends[1], 1);
  EXPECT_EQ(sink->n_ends[0], 0);
  bench.engine.cancel("a");
  bench.run_all();
  EXPECT_EQ(sink->n_ends, (std::vector<int>{1, 1}));
  EXPECT_EQ(sink->reasons[0], FinishReason::kCancelled);
  EXPECT_THAT(sink->tokens[0], testing::IsEmpty());
}

TEST(BeamEngine, ADeadlineGivesTheBestSoFar) {
  Bench bench;
  Request r = search_request("a", 4, 60, 3, 2);
  r.stop_token_ids.clear();
  r.deadline = bench.clock.time + std::chrono::seconds(1);
  const auto sink = bench.submit(r);
  for (int i = 0; i < 8; ++i) bench.engine.step();
  bench.clock.time += std::chrono::seconds(2);
  bench.run_all();
  EXPECT_EQ(sink->reasons[0], FinishReason::kDeadline);
  EXPECT_FALSE(sink->tokens[0].empty());
  EXPECT_FALSE(sink->tokens[1].empty());
}

TEST(BeamEngine, ASearchThatNeverFitsIsRefused) {
  const auto refusal = [](Request r) -> std::string {
    Bench bench;
    try {
      bench.submit(r);
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(refusal(search_request("a", 4, 4, 9, 1)), HasSubstr("num_beams: more beams than"));
  EXPECT_THAT(refusal(search_request("a", 4, 4, 2, 3)), HasSubstr("more answers than beams"));
  Request r = search_request("a", 4, 4, 4, 1);
  r.beams.n_groups = 3;
  EXPECT_THAT(refusal(r), HasSubstr("num_beam_groups"));
}

}  // namespace
}  // namespace openllm::engine::test

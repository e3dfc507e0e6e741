// What becomes of answers when the place that makes them is lost.

#include "backend/places/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/places/fake_place.h"

namespace openllm::backend::places {
namespace {

using namespace test;
using engine::RecordingSink;
using ::testing::Each;
using ::testing::HasSubstr;
using Sink = std::shared_ptr<RecordingSink>;
using Kinds = std::vector<Capabilities>;

void expect_whole(const Sink& sink, const engine::Request& request) {
  for (int c = 0; c < request.n_choices; ++c) {
    const auto i = static_cast<std::size_t>(c);
    EXPECT_EQ(sink->tokens[i], whole_answer(request, c)) << c;
    EXPECT_EQ(sink->reasons[i], FinishReason::kLength) << c << ": " << sink->errors[i];
  }
  EXPECT_THAT(sink->n_ends, Each(1));
  EXPECT_TRUE(sink->in_order);
}

/// The request loses its first place after so many tokens.
Sink lose(Bench& bench, engine::Request& request, int after) {
  const Sink sink = bench.submit(request);
  bench.at(0).step(after);
  bench.at(0).die();
  bench.finish();
  return sink;
}

TEST(Relay, AnAnswerGoesOnElsewhereWithTheSameTokens) {
  for (const int after : {0, 1, 5, 11}) {
    Bench bench;
    engine::Request request = make_request();
    request.min_new_tokens = 4;
    const Sink sink = lose(bench, request, after);
    expect_whole(sink, request);
    ASSERT_EQ(bench.at(1).running.size(), 1U);
    const engine::Request& second = bench.at(1).running[0].request;
    EXPECT_EQ(second.n_answered, after);
    EXPECT_EQ(second.max_new_tokens, 12 - after);
    EXPECT_EQ(second.min_new_tokens, std::max(0, 4 - after));
    EXPECT_EQ(sink->logprobs[0].size(), 12U);
    EXPECT_EQ(bench.n_open, 0);
    EXPECT_EQ(bench.relay.counts().n_finished, 1);
  }
}

TEST(Relay, ItMayBeLostAgainAndComeBack) {
  Bench bench;
  engine::Request request = make_request();
  const Sink sink = bench.submit(request);
  bench.at(0).step(3);
  bench.at(0).die();
  bench.mend();
  bench.at(1).step(2);
  bench.at(0).refusal.reset();  // it was started again
  bench.at(1).die();
  bench.finish();
  expect_whole(sink, request);
  EXPECT_EQ(bench.at(0).n_submitted, 2);
}

TEST(Relay, SeededAnswersGoOnWhereDrawsAreTheSame) {
  for (const Kinds& kinds : {Kinds{Bench::kWhole, remote()}, Kinds{remote(), Bench::kWhole}}) {
    Bench bench(kinds);
    engine::Request request = make_random();
    expect_whole(lose(bench, request, 5), request);
  }
  for (const Kinds& kinds :
       {Kinds{Bench::kWhole, remote(false)}, Kinds{remote(false), Bench::kWhole}}) {
    Bench bench(kinds);
    engine::Request request = make_random();
    const Sink sink = lose(bench, request, 5);
    EXPECT_EQ(sink->codes[0], ErrorCode::kUnavailable);
    EXPECT_THAT(sink->errors[0], HasSubstr("a: cannot reach it"));
    EXPECT_THAT(sink->errors[0], HasSubstr("exactly as it began (seed)"));
    EXPECT_EQ(bench.at(1).n_submitted, 0);
    EXPECT_EQ(bench.n_open, 0);
  }
  Bench bench({remote(false), remote(false)});
  engine::Request request = make_random();
  expect_whole(lose(bench, request, 0), request);  // nothing was told yet
}

TEST(Relay, WhatDependsOnTheAnswersBeginningGoesWhereThatCanBeTold) {
  engine::Request request = make_request();
  request.sampling.presence_penalty = 0.5F;
  Bench told({remote(), Bench::kWhole});
  expect_whole(lose(told, request, 5), request);
  Bench not_told({Bench::kWhole, remote()});
  const Sink sink = lose(not_told, request, 5);
  EXPECT_THAT(sink->errors[0], HasSubstr("(presence_penalty)"));
  EXPECT_EQ(sink->tokens[0].size(), 5U);
}

TEST(Relay, NothingCanBePutBehindASource) {
  engine::Request request = make_request();
  request.source_ids = {7, 8, 9};
  Bench engines;
  expect_whole(lose(engines, request, 5), request);
  EXPECT_EQ(engines.at(1).running[0].request.source_ids, request.source_ids);
  Bench servers({Bench::kWhole, remote()});
  const Sink sink = lose(servers, request, 5);
  EXPECT_THAT(sink->errors[0], HasSubstr("(prompt)"));
  EXPECT_EQ(sink->tokens[0].size(), 5U);
}

TEST(Relay, ASearchBeginsAnewAsAWholeOrFails) {
  engine::Request request = make_request(12, 2);
  request.beams.n_beams = 3;
  Bench anew;
  expect_whole(lose(anew, request, 0), request);
  EXPECT_EQ(anew.at(1).running.size(), 1U);
  Bench begun;  // a place tells all texts at once: half of them is a place that fails
  const Sink sink = lose(begun, request, 5);
  EXPECT_THAT(sink->codes, Each(ErrorCode::kUnavailable));
  EXPECT_EQ(begun.at(1).n_submitted, 0);
}

TEST(Relay, AllChoicesGoOn) {
  for (const int after : {0, 5}) {
    Bench bench;
    engine::Request request = make_random(12, 3);
    expect_whole(lose(bench, request, after), request);
    EXPECT_EQ(bench.at(1).running.size(), after == 0 ? 1U : 3U) << "they share what they have not";
  }
  Bench bench({Bench::kWhole, remote()});
  engine::Request request = make_random(12, 2);
  const Sink sink = lose(bench, request, 5);
  EXPECT_EQ(sink->reasons[0], FinishReason::kLength);
  EXPECT_THAT(sink->errors[1], HasSubstr("exactly as it began (n)"));
}

TEST(Relay, AllPlacesLostIsOneError) {
  Bench bench(3);
  engine::Request request = make_request(12, 2);
  const Sink sink = bench.submit(request);
  bench.at(0).step(2);
  for (FakePlace* place : bench.places) place->die();
  bench.finish();
  for (const std::string& error : sink->errors) {
    EXPECT_EQ(error, "places: a: cannot reach it; b: cannot reach it; c: cannot reach it");
  }
  EXPECT_THAT(sink->codes, Each(ErrorCode::kUnavailable));
  EXPECT_THAT(sink->n_ends, Each(1));
  EXPECT_EQ(sink->tokens[0].size(), 2U);
  try {
    (void)bench.submit(request);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a: cannot reach it; b: "));
  }
  EXPECT_EQ(bench.roster.stats()[0].n_open, 0);
}

TEST(Relay, WhoIsBusyPassesRequestsOn) {
  Bench bench;
  bench.at(0).refusal = {ErrorCode::kBusy, "queue full", "", ErrorReason::kNone,
                         std::chrono::milliseconds(900)};
  engine::Request request = make_request();
  const Sink sink = bench.submit(request);
  bench.finish();
  expect_whole(sink, request);
  EXPECT_TRUE(bench.roster.stats()[0].is_up) << "busy is not away";
  bench.at(1).refusal = bench.at(0).refusal;
  bench.at(1).refusal->retry_after = std::chrono::milliseconds(400);
  try {
    (void)bench.submit(request);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBusy);
    EXPECT_EQ(error.retry_after(), std::chrono::milliseconds(400));
  }
}

TEST(Relay, WhatIsWrongWithARequestIsToldAtOnce) {
  Bench bench;
  bench.at(0).refusal = {ErrorCode::kInvalidArgument, "request: n: out of range"};
  engine::Request request = make_request();
  EXPECT_THROW((void)bench.submit(request), Error);
  EXPECT_EQ(bench.at(1).n_submitted, 0);
  EXPECT_EQ(bench.roster.stats()[0].n_open, 0);
}

TEST(Relay, CancellingReachesEveryPlaceAndWhatIsBetweenTwo) {
  Bench bench;
  engine::Request request = make_request();
  const Sink sink = bench.submit(request);
  bench.at(0).die();
  bench.relay.cancel("r");
  bench.finish();
  EXPECT_EQ(sink->reasons[0], FinishReason::kCancelled);
  EXPECT_EQ(bench.at(1).n_submitted, 0);
  EXPECT_EQ(sink->n_ends[0], 1);
  bench.at(0).refusal.reset();
  const Sink later = bench.submit(request);
  bench.at(1).step(2);
  bench.at(1).die();
  bench.mend();
  bench.at(0).step(1);
  bench.relay.cancel("r");
  bench.finish();
  EXPECT_EQ(later->reasons[0], FinishReason::kCancelled);
  EXPECT_EQ(later->tokens[0].size(), 3U);
  EXPECT_EQ(bench.n_open, 0);
}

TEST(Relay, ADeadlineHoldsBetweenTwoPlaces) {
  Bench bench;
  engine::Request request = make_request();
  request.deadline = bench.clock.time + std::chrono::seconds(1);
  const Sink sink = bench.submit(request);
  bench.at(0).step(2);
  bench.at(0).die();
  bench.clock.time += std::chrono::seconds(2);
  bench.finish();
  EXPECT_EQ(sink->reasons[0], FinishReason::kDeadline);
  EXPECT_EQ(bench.at(1).n_submitted, 0);
}

TEST(Relay, AStopFindsItsChoiceWhereverItIs) {
  Bench bench;
  engine::Request request = make_random(12, 3);
  const Sink sink = bench.submit(request);
  bench.at(0).step(2);
  bench.relay.stop_choice("r", 2);
  bench.at(0).die();
  bench.relay.stop_choice("r", 1);  // between two places
  bench.mend();
  bench.at(1).step(2);
  bench.relay.stop_choice("r", 0);
  bench.finish();
  EXPECT_THAT(sink->reasons, Each(FinishReason::kStop));
  EXPECT_EQ(sink->tokens[0].size(), 4U);
  EXPECT_EQ(bench.at(1).n_submitted, 1);
  EXPECT_EQ(bench.n_open, 0);
}

TEST(Relay, AnAnswerThatWasCompleteEndsWithoutAnotherPlace) {
  Bench bench;
  engine::Request request = make_request();
  const std::vector<std::int32_t> answer = whole_answer(request);
  request.stop_token_ids = {answer[3]};
  const Sink sink = bench.submit(request);
  bench.at(0).step(4);  // the fake does not know of stop tokens: as if its end had not come
  bench.at(0).die();
  bench.finish();
  EXPECT_EQ(sink->reasons[0], FinishReason::kStop);
  EXPECT_EQ(sink->tokens[0].size(), 4U);
  EXPECT_EQ(bench.at(1).n_submitted, 0);
}

TEST(Relay, APlaceThatHangsIsGivenUp) {
  Bench bench;
  engine::Request request = make_request(12, 2);
  const Sink sink = bench.submit(request);
  bench.at(0).step(3);
  bench.relay.give_up(0);
  bench.finish();
  expect_whole(sink, request);
  bench.relay.give_up(1);  // has nothing
}

TEST(Relay, LogprobsOfThePromptAreToldOnce) {
  Bench bench;
  bench.at(0).n_prompt_told = 2;
  engine::Request request = make_request();
  request.n_prompt_logprobs = 0;
  const Sink sink = bench.submit(request);
  EXPECT_EQ(sink->prompt.size(), 2U);
  bench.at(0).die();
  bench.finish();
  EXPECT_EQ(sink->prompt.size(), 4U);
  EXPECT_TRUE(sink->in_order);
  expect_whole(sink, request);
  Bench later;
  const Sink full = lose(later, request, 5);
  EXPECT_EQ(full->prompt.size(), 4U);
  EXPECT_EQ(later.at(1).running[0].request.n_prompt_logprobs, -1);
}

TEST(Relay, RequestsGoWhereTheirFieldsAreHonoured) {
  Bench bench({remote(), Bench::kWhole});
  engine::Request request = make_request();
  request.fields = {"temperature", "typical_p"};
  const Sink sink = lose(bench, request, 0);  // the first is never asked
  expect_whole(sink, request);
  EXPECT_EQ(bench.at(0).n_submitted, 0);
  bench.at(0).refusal.reset();
  bench.at(1).die();
  try {
    (void)bench.submit(request);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_STREQ(error.what(), "places: b: cannot reach it");
  }
}

TEST(Relay, WhatClosesEndsAllThatIsLeft) {
  Bench bench;
  engine::Request request = make_request(12, 2);
  const Sink between = bench.submit(request);
  bench.at(0).die();
  request.id = "other";
  const Sink running = bench.submit(request);
  const base::Failure failure{ErrorCode::kUnavailable, "was unloaded"};
  bench.relay.close(failure);
  for (Backend* place : bench.roster.close()) place->shut_down(failure);
  bench.mend();
  bench.relay.end_all();
  for (const Sink& sink : {between, running}) {
    EXPECT_THAT(sink->errors, Each("was unloaded"));
    EXPECT_THAT(sink->n_ends, Each(1));
  }
  EXPECT_THROW((void)bench.submit(request), Error);
}

}  // namespace
}  // namespace openllm::backend::places

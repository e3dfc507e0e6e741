#include "backend/places/roster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "backend/places/fake_place.h"
#include "format/test_files.h"

namespace openllm::backend::places {
namespace {

using namespace test;
using format::testing::error_of;
using ::testing::HasSubstr;

struct Rostered {
  explicit Rostered(std::size_t n) : roster(Bench::sources(n), clock) {}
  FakePlace& admit(std::size_t i, int vocab_size = kVocab, int length = kModelLen,
                   Capabilities can = Bench::kWhole) {
    auto place = std::make_unique<FakePlace>(std::move(can));
    place->n_vocab = vocab_size;
    place->length = length;
    place->slots = 4;
    FakePlace& admitted = *place;
    roster.admit(i, std::move(place));
    return admitted;
  }
  std::size_t pick(std::int32_t prompt, int n_choices = 1) {
    const std::vector<std::int32_t> ids{prompt};
    const auto picked = roster.pick({}, ids, n_choices, {});
    return picked ? picked->place : 99;
  }

  engine::FakeClock clock;
  Roster roster;
};

TEST(Roster, TheShortestOfThoseThatAreThereAtTheStartCounts) {
  Rostered bench(3);
  bench.admit(0, kVocab, 200);
  bench.admit(1, kVocab, 100);
  bench.roster.settle();
  EXPECT_EQ(bench.roster.max_model_len(), 100);
  EXPECT_EQ(bench.roster.vocab_size(), kVocab);
  EXPECT_THAT(error_of([&] { bench.admit(2, kVocab, 99); }).what(),
              HasSubstr("c has shorter sequences than the others (expected 100 tokens, got 99)"));
  EXPECT_FALSE(bench.roster.is_loaded(2));
  bench.admit(2, kVocab, 300);
  EXPECT_TRUE(bench.roster.is_loaded(2));
}

TEST(Roster, OneVocabulary) {
  constexpr int kNotSaid = std::numeric_limits<int>::max();
  Rostered bench(3);
  bench.admit(0, kNotSaid);
  bench.admit(1, 500);
  EXPECT_THAT(error_of([&] { bench.admit(2, 501); }).what(),
              HasSubstr("c has another vocabulary (expected 500 tokens as b, got 501)"));
  EXPECT_EQ(bench.roster.vocab_size(), 500);
}

TEST(Roster, CanWhatOneOfThemCan) {
  Rostered bench(2);
  bench.admit(0, kVocab, kModelLen, remote());
  EXPECT_FALSE(bench.roster.capabilities().is_mixed);
  EXPECT_FALSE(bench.roster.capabilities().honours("typical_p"));
  bench.admit(1);
  const Capabilities all = bench.roster.capabilities();
  EXPECT_TRUE(all.is_mixed);
  EXPECT_TRUE(all.honours("typical_p"));
  EXPECT_TRUE(all.prompt_logits);
  EXPECT_FALSE(all.is_repeatable);
  const std::vector<std::string> fields{"typical_p"};
  EXPECT_EQ(bench.roster.pick({.fields = fields}, {}, 1, {})->place, 1U);
  EXPECT_EQ(bench.roster.pick({.prompt_logits = true}, {}, 1, {})->place, 1U);
  EXPECT_EQ(bench.roster.pick({.continues_answers = true}, {}, 1, {1}), std::nullopt);
}

/// More than a place holds goes to the next, and what was slow lately gets less.
TEST(Roster, SpillsByRoomAndBySpeed) {
  Rostered bench(2);
  bench.admit(0);
  bench.admit(1);
  EXPECT_EQ(bench.pick(1, 4), 0U);
  EXPECT_EQ(bench.pick(2, 4), 1U);
  EXPECT_EQ(bench.pick(2, 1), 1U) << "both are full; it has the prompt";
  bench.roster.leave(0, 4);
  bench.roster.leave(1, 5);
  using Seconds = std::chrono::duration<double>;
  bench.roster.measure(0, 100, Seconds(3));
  bench.roster.measure(1, 100, Seconds(1));
  std::vector<int> counts(2);
  for (int i = 10; i < 14; ++i) ++counts[bench.pick(i)];
  EXPECT_EQ(counts, (std::vector<int>{1, 3}));
  EXPECT_NEAR(bench.roster.stats()[0].token_s, 0.03, 1e-9);
  bench.clock.time += std::chrono::minutes(5);
  EXPECT_EQ(bench.roster.stats()[0].token_s, 0.0) << "that was long ago";
}

TEST(Roster, TellsWhatEachPlaceDoes) {
  Rostered bench(2);
  bench.admit(0);
  bench.roster.keep_out(1, "cannot reach it");
  EXPECT_EQ(bench.pick(1, 2), 0U);
  bench.roster.count_tokens(0, 7);
  std::vector<PlaceStats> stats = bench.roster.stats();
  EXPECT_EQ(stats[0].name, "a");
  EXPECT_TRUE(stats[0].is_up);
  EXPECT_EQ(stats[0].reason, "fake, context 256");
  EXPECT_EQ(stats[0].n_open, 2);
  EXPECT_EQ(stats[0].n_slots, 4);
  EXPECT_EQ(stats[0].n_requests, 1);
  EXPECT_EQ(stats[0].n_generated_tokens, 7);
  EXPECT_FALSE(stats[1].is_up);
  EXPECT_EQ(stats[1].reason, "cannot reach it");
  EXPECT_EQ(bench.roster.tell_health(1, false, "x"), 0) << "it is not loaded";
  EXPECT_EQ(bench.roster.tell_health(0, false, "does not answer"), 1);
  bench.roster.count_failure(0, false, "is busy");
  stats = bench.roster.stats();
  EXPECT_FALSE(stats[0].is_up);
  EXPECT_EQ(stats[0].reason, "does not answer");
  EXPECT_EQ(stats[0].n_failures, 1);
  EXPECT_EQ(bench.roster.tell_health(0, true, ""), 0);
  EXPECT_TRUE(bench.roster.stats()[0].is_up);
}

TEST(Roster, NobodyIsAdmittedAfterTheEnd) {
  Rostered bench(2);
  bench.admit(0);
  EXPECT_EQ(bench.roster.close().size(), 1U);
  EXPECT_EQ(error_of([&] { bench.admit(1); }).code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace openllm::backend::places

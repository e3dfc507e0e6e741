#include "backend/balance.h"

#include <gtest/gtest.h>

#include <vector>

namespace openllm::backend {
namespace {

using Ids = std::vector<std::int32_t>;

const Ids kOne{1, 2, 3};
const Ids kTwo{4, 5, 6};
const Ids kThree{7, 8, 9};

struct Bench {
  std::size_t choose(const Ids& prompt, int n = 1, const std::set<std::size_t>& excluded = {}) {
    const auto chosen = choose_place(places, memory, PrefixMemory::key_of(prompt), n, excluded);
    return chosen ? *chosen : 99;
  }
  std::vector<PlaceLoad> places;
  PrefixMemory memory;
};

TEST(ChoosePlace, TheOneWithTheLeastToDoIsNext) {
  Bench bench{.places = {{.n_open = 2}, {.n_open = 1}, {.n_open = 3}}};
  EXPECT_EQ(bench.choose(kOne), 1U);
  EXPECT_EQ(bench.choose(kTwo, 1, {1}), 0U);
  EXPECT_EQ(bench.choose(kThree, 1, {0, 1, 2}), 99U);
}

TEST(ChoosePlace, OneThatIsNotWellComesLastAndAnyWayBeforeNone) {
  Bench bench{.places = {{.is_well = false}, {.n_open = 50}}};
  EXPECT_EQ(bench.choose(kOne), 1U);
  EXPECT_EQ(bench.choose(kOne, 1, {1}), 0U);
}

TEST(ChoosePlace, WhatDoesNotFitSpillsOver) {
  Bench bench{.places = {{.n_slots = 4, .token_s = 0.001}, {.n_slots = 0, .token_s = 0.1}}};
  EXPECT_EQ(bench.choose(kOne, 3), 0U);
  bench.places[0].n_open = 3;
  EXPECT_EQ(bench.choose(kOne, 1), 0U) << "the last place there";
  bench.places[0].n_open = 4;
  EXPECT_EQ(bench.choose(kOne, 1), 1U) << "it would wait, however fast it is there";
  bench.places[1].n_slots = 2;
  bench.places[1].n_open = 2;
  EXPECT_EQ(bench.choose(kThree, 1), 0U) << "it waits anywhere: where it is done first";
}

TEST(ChoosePlace, APlaceThatIsSlowGetsLess) {
  Bench bench{.places = {{.token_s = 0.04}, {.token_s = 0.01}}};
  std::vector<int> counts(2);
  for (std::int32_t i = 0; i < 50; ++i) {
    const std::size_t chosen = bench.choose({i});
    ++bench.places[chosen].n_open;
    ++counts[chosen];
  }
  EXPECT_EQ(counts[0], 10);
  EXPECT_EQ(counts[1], 40);
}

TEST(ChoosePlace, OneThatIsNotMeasuredCountsAsFast) {
  Bench bench{.places = {{.token_s = 0.04}, {.token_s = 0.01}, {.token_s = 0}}};
  std::vector<int> counts(3);
  for (std::int32_t i = 0; i < 18; ++i) {
    const std::size_t chosen = bench.choose({i});
    ++bench.places[chosen].n_open;
    ++counts[chosen];
  }
  EXPECT_EQ(counts, (std::vector<int>{2, 8, 8}));
}

TEST(ChoosePlace, APromptGoesToWhereItsBeginningLies) {
  Bench bench{.places = {{}, {}}};
  EXPECT_EQ(bench.choose(kOne), 0U);
  bench.places[0].n_open = 1;
  EXPECT_EQ(bench.choose(kTwo), 1U);
  bench.places[0].n_open = 4;
  EXPECT_EQ(bench.choose(kOne), 0U) << "four more are worth it";
  bench.places[0].n_open = 5;
  EXPECT_EQ(bench.choose(kOne), 1U) << "five are not";
  bench.places[0].n_open = 0;
  EXPECT_EQ(bench.choose(kOne), 1U) << "and now it lies there";
  bench.places[1].is_well = false;
  EXPECT_EQ(bench.choose(kOne), 0U);
}

TEST(ChoosePlace, AFullPlaceDoesNotKeepItsPrompts) {
  Bench bench{.places = {{.n_slots = 2}, {.n_slots = 2}}};
  EXPECT_EQ(bench.choose(kOne), 0U);
  bench.places[0].n_open = 2;
  EXPECT_EQ(bench.choose(kOne), 1U);
  bench.places[0].n_open = 2;
  bench.places[1].n_open = 3;
  EXPECT_EQ(bench.choose(kOne), 1U) << "it waits anywhere, so its prefix counts";
}

TEST(ChoosePlace, ASlowPlaceKeepsItsPromptsAsLongAsTheyAreWorthIt) {
  Bench bench{.places = {{.token_s = 0.01}, {.token_s = 0.04}}};
  bench.memory.note(PrefixMemory::key_of(kOne), 1);
  EXPECT_EQ(bench.choose(kOne), 1U) << "its first token is done as soon as a fifth at the other";
  bench.places[1].n_open = 1;
  EXPECT_EQ(bench.choose(kOne), 0U);
}

TEST(PrefixMemory, TellsPromptsApartByTheirBeginningsAndForgetsTheLeastRecent) {
  PrefixMemory memory(2);
  Ids long_prompt(40, 7);
  const std::uint64_t key = PrefixMemory::key_of(long_prompt);
  long_prompt.back() = 8;
  EXPECT_EQ(PrefixMemory::key_of(long_prompt), key) << "beyond what is looked at";
  long_prompt.front() = 8;
  EXPECT_NE(PrefixMemory::key_of(long_prompt), key);
  memory.note(1, 10);
  memory.note(2, 20);
  memory.note(1, 11);
  memory.note(3, 30);
  EXPECT_EQ(memory.find(1), 11U);
  EXPECT_EQ(memory.find(2), std::nullopt);
  EXPECT_EQ(memory.find(3), 30U);
}

}  // namespace
}  // namespace openllm::backend

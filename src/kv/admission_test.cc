// How many blocks a sequence needs, to the block: too few stalls those that run, too many keeps
// others waiting.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "kv/block_cache.h"

namespace openllm::kv {
namespace {

using testing::ElementsAre;

std::vector<BlockKey> chain(int n) {
  std::vector<BlockKey> keys;
  const std::uint64_t salt = 0;
  BlockKey previous = root_key({&salt, 1});
  for (std::int32_t i = 0; i < n; ++i) keys.push_back(previous = next_key(previous, {&i, 1}));
  return keys;
}

KvGroupSpec window_group(int window) {
  KvGroupSpec spec;
  spec.kind = KvKind::kWindow;
  spec.window = window;
  return spec;
}

TEST(Admission, ReserveIsWhatIsMissingAndOneBlockMore) {
  // Blocks of 4; a full group and one with a window of 6.
  BlockCache cache({KvGroupSpec{}, window_group(6)}, {100, 100}, 4);
  struct Case {
    int n_held;    ///< Positions covered now.
    int n_tokens;  ///< To be covered.
    int n_rows;    ///< Most rows of a step.
    int full, window;
  };
  const Case cases[] = {
      {0, 0, 8, 1, 1},     {0, 1, 8, 2, 2},    {0, 4, 8, 2, 2},    {0, 5, 8, 3, 3},
      {8, 8, 8, 1, 1},     {8, 9, 8, 2, 2},    {12, 8, 8, 1, 1},  // more than it needs
      {0, 20, 8, 6, 6},    {0, 21, 8, 7, 6},  // window + rows = 14: 4 blocks, wherever it starts
      {0, 100, 8, 26, 6},  {0, 100, 2, 26, 4}, {0, 100, 3, 26, 5},  // 8 and 9 positions
      {40, 100, 2, 16, 4}, {96, 100, 2, 2, 2},
  };
  for (const Case& c : cases) {
    SequenceBlocks s;
    ASSERT_TRUE(cache.grow(s, c.n_held));
    std::vector<int> reserve = {10, 20};  // added to what others reserved
    cache.add_outstanding(s, c.n_tokens, c.n_rows, reserve);
    EXPECT_THAT(reserve, ElementsAre(10 + c.full, 20 + c.window))
        << c.n_held << " " << c.n_tokens << " " << c.n_rows;
  }
}

TEST(Admission, FitsToTheBlock) {
  BlockCache cache({KvGroupSpec{}, window_group(6)}, {10, 7}, 4);
  const auto fits = [&](int n_tokens, int n_rows, std::vector<int> reserve) {
    return cache.fits({}, n_tokens, n_rows, reserve);
  };
  EXPECT_TRUE(fits(40, 2, {0, 0}));
  EXPECT_FALSE(fits(41, 2, {0, 0}));
  EXPECT_TRUE(fits(36, 2, {1, 0}));
  EXPECT_FALSE(fits(37, 2, {1, 0}));
  EXPECT_TRUE(fits(40, 2, {0, 4}));  // window + rows = 8: at most 3 of the 7
  EXPECT_FALSE(fits(40, 2, {0, 5}));
  EXPECT_FALSE(fits(40, 3, {0, 4}));
  SequenceBlocks other;
  ASSERT_TRUE(cache.grow(other, 9));
  EXPECT_TRUE(fits(28, 2, {0, 0}));
  EXPECT_FALSE(fits(29, 2, {0, 0}));
}

TEST(Admission, APrefixCostsOnlyItsBlocksThatAreFree) {
  BlockCache cache({KvGroupSpec{}}, {8}, 4);
  const auto keys = chain(3);
  const std::vector<int> none = {0};
  SequenceBlocks owner;
  ASSERT_TRUE(cache.grow(owner, 12));
  cache.publish(owner, 0, keys);
  // Five blocks are free. Held by `owner`, the prefix costs nothing: 12 + 20 positions.
  EXPECT_TRUE(cache.fits(keys, 32, 99, none));
  EXPECT_FALSE(cache.fits(keys, 33, 99, none));
  EXPECT_TRUE(cache.fits(std::span(keys).first(1), 24, 99, none));
  EXPECT_FALSE(cache.fits(std::span(keys).first(1), 25, 99, none));
  owner.clear();
  // All eight are free, three of them with the content that it takes.
  EXPECT_TRUE(cache.fits(keys, 32, 99, none));
  EXPECT_FALSE(cache.fits(keys, 33, 99, none));
  EXPECT_TRUE(cache.fits(keys, 28, 99, std::vector<int>{1}));
  EXPECT_FALSE(cache.fits(keys, 29, 99, std::vector<int>{1}));
}

TEST(Admission, OfAPrefixAWindowTakesOnlyWhatTheNextPositionSees) {
  BlockCache cache({window_group(6)}, {6}, 4);
  const auto keys = chain(4);
  {
    SequenceBlocks owner;
    ASSERT_TRUE(cache.grow(owner, 16));
    cache.publish(owner, 0, keys);
  }
  // Position 16 sees 11 to 16: blocks 2 and 3 are taken, one more for 16 to 19.
  EXPECT_TRUE(cache.fits(keys, 20, 2, std::vector<int>{3}));
  EXPECT_FALSE(cache.fits(keys, 20, 2, std::vector<int>{4}));
  SequenceBlocks taker;
  cache.take_prefix(taker, keys);
  EXPECT_EQ(cache.n_free(), 4);
}

/// What was promised holds: those admitted grow to their end, whoever goes first.
TEST(Admission, WhatFitsGrowsToItsEnd) {
  for (int total = 1; total <= 12; ++total) {
    for (int first = 1; first <= 20; ++first) {
      for (int second = 1; second <= 20; ++second) {
        BlockCache cache({KvGroupSpec{}}, {total}, 2);
        SequenceBlocks a;
        if (!cache.grow(a, 1)) continue;
        std::vector<int> reserve = {0};
        cache.add_outstanding(a, first, 4, reserve);
        const bool fits = cache.fits({}, second, 4, reserve);
        SequenceBlocks b;
        const bool both = cache.grow(a, first) && cache.grow(b, second);
        EXPECT_TRUE(!fits || both) << total << " " << first << " " << second;
        // One block is kept for the token behind the target; beyond that nothing is refused that
        // would have fitted.
        const int needed = (first + 1) / 2 + (second + 1) / 2 + 1;
        EXPECT_EQ(fits, needed <= total) << total << " " << first << " " << second;
      }
    }
  }
}

TEST(Reachable, IsWhatTheSmallestPoolAllows) {
  BlockCache cache({KvGroupSpec{}, KvGroupSpec{}}, {9, 3}, 4);
  SequenceBlocks s;
  EXPECT_EQ(cache.reachable(s, 0), 0);
  EXPECT_EQ(cache.reachable(s, 12), 12);
  EXPECT_EQ(cache.reachable(s, 13), 12);
  ASSERT_TRUE(cache.grow(s, 5));
  EXPECT_EQ(cache.reachable(s, 7), 7);
  EXPECT_EQ(cache.reachable(s, 99), 12);
  ASSERT_TRUE(cache.grow(s, 12));
  EXPECT_EQ(cache.reachable(s, 13), 12);  // nothing is free, but its own blocks are not full
  EXPECT_EQ(cache.reachable(s, 12), 12);
  EXPECT_FALSE(cache.grow(s, 13));
  EXPECT_TRUE(cache.grow(s, 12));
}

TEST(Trim, FreesABlockWhenItsLastPositionLeavesTheWindow) {
  for (const int window : {1, 2, 3, 4, 5, 8}) {
    BlockCache cache({window_group(window)}, {16}, 4);
    SequenceBlocks s;
    ASSERT_TRUE(cache.grow(s, 32));
    for (int past = 0; past < 32; ++past) {
      cache.trim(s, past);
      for (int b = 0; b < 8; ++b) {
        const bool seen = b * 4 + 3 > past - window;  // some position > past - window
        EXPECT_EQ(s.table(0)[static_cast<std::size_t>(b)].id() >= 0, seen)
            << window << " " << past << " " << b;
      }
    }
    s.truncate(8);
    EXPECT_EQ(s.n_blocks(), 8);
    s.truncate(0);
    EXPECT_EQ(cache.n_free(), 16);
  }
}

TEST(Trim, TablesThatWereCutAndGrownAgainAreTrimmedAgain) {
  BlockCache cache({window_group(4)}, {16}, 4);
  SequenceBlocks s;
  ASSERT_TRUE(cache.grow(s, 16));
  cache.trim(s, 15);  // blocks 0 to 2 leave
  s.truncate(1);
  ASSERT_TRUE(cache.grow(s, 16));
  EXPECT_EQ(cache.n_free(), 13);
  cache.trim(s, 15);
  EXPECT_EQ(cache.n_free(), 15);
}

TEST(MaxTokens, IsBoundedByTheSmallestFullGroup) {
  EXPECT_EQ(BlockCache({KvGroupSpec{}, KvGroupSpec{}}, {9, 3}, 4).max_tokens(), 12);
  EXPECT_EQ(BlockCache({KvGroupSpec{}, window_group(6)}, {9, 3}, 4).max_tokens(), 36);
  EXPECT_EQ(BlockCache({KvGroupSpec{}, window_group(7)}, {9, 2}, 4).max_tokens(), 8);
  EXPECT_EQ(BlockCache({window_group(6)}, {3}, 4).max_tokens(), INT32_MAX);
  EXPECT_EQ(BlockCache({KvGroupSpec{}, KvGroupSpec{}}, {9, 3}, 4).n_total(), 12);
}

TEST(FindPrefix, EndsAtTheFirstMissingBlockOfAnyGroup) {
  BlockCache cache({KvGroupSpec{}, KvGroupSpec{}}, {8, 8}, 4);
  const auto keys = chain(5);
  EXPECT_EQ(cache.find_prefix({}), 0);
  EXPECT_EQ(cache.find_prefix(keys), 0);
  SequenceBlocks s;
  ASSERT_TRUE(cache.grow(s, 20));
  cache.publish(s, 1, std::span(keys).subspan(1, 2));
  EXPECT_EQ(cache.find_prefix(keys), 0);
  cache.publish(s, 0, std::span(keys).first(1));
  EXPECT_EQ(cache.find_prefix(keys), 3);
  EXPECT_EQ(cache.find_prefix(std::span(keys).first(2)), 2);
  cache.publish(s, 3, std::span(keys).subspan(3, 2));
  EXPECT_EQ(cache.find_prefix(keys), 5);
  SequenceBlocks taker;
  EXPECT_THROW(cache.take_prefix(taker, chain(6)), Error);
}

TEST(FindPrefix, ABlockThatOneGroupGaveOutEndsIt) {
  for (const bool second_is_smaller : {false, true}) {
    const std::vector<int> sizes =
        second_is_smaller ? std::vector<int>{16, 5} : std::vector<int>{5, 16};
    BlockCache cache({KvGroupSpec{}, KvGroupSpec{}}, sizes, 4);
    const auto keys = chain(5);
    SequenceBlocks s;
    ASSERT_TRUE(cache.grow(s, 20));
    cache.publish(s, 0, keys);
    s.clear();  // its last block first
    EXPECT_EQ(cache.find_prefix(keys), 5);
    SequenceBlocks other;  // takes the last block of the smaller group, a nameless one of the other
    ASSERT_TRUE(cache.grow(other, 4));
    EXPECT_EQ(cache.find_prefix(keys), 4);
  }
}

TEST(BlockPool, PublishingANamedBlockAgainChangesNothing) {
  BlockPool pool(3, 3);
  const auto keys = chain(3);
  BlockRef a = pool.allocate();
  const BlockRef b = pool.allocate();
  pool.publish(a, keys[0]);
  pool.publish(a, keys[1]);
  EXPECT_TRUE(pool.contains(keys[0]));
  EXPECT_FALSE(pool.contains(keys[1]));
  pool.check({1, 1, 0});
  pool.publish(b, keys[1]);
  EXPECT_EQ(pool.find(keys[1]).id(), b.id());
  pool.publish(a, keys[2]);
  a.reset();
  EXPECT_FALSE(pool.find(keys[2]));
  BlockPool other(1, 1);
  EXPECT_THROW(other.publish(b, keys[2]), Error);
}

TEST(BlockPool, FreeIsOnlyWhatNobodyHolds) {
  BlockPool pool(2, 2);
  const auto keys = chain(2);
  BlockRef a = pool.allocate();
  pool.publish(a, keys[0]);
  bool is_free = true;
  EXPECT_TRUE(pool.contains(keys[0], is_free));
  EXPECT_FALSE(is_free);
  a.reset();
  EXPECT_TRUE(pool.contains(keys[0], is_free));
  EXPECT_TRUE(is_free);
  EXPECT_FALSE(pool.contains(keys[1], is_free));
  {
    const BlockRef found = pool.find(keys[0]);
    EXPECT_EQ(pool.n_free(), 1);
    EXPECT_TRUE(pool.contains(keys[0], is_free));
    EXPECT_FALSE(is_free);
    pool.check({1, 0});
  }
  pool.check({0, 0});
}

TEST(BlockPool, GivesOutNamelessBlocksThenTheNamedOneThatWasFreedFirst) {
  BlockPool pool(5, 5);
  const auto keys = chain(3);
  std::vector<BlockRef> refs;
  for (int i = 0; i < 5; ++i) refs.push_back(pool.allocate());
  for (const std::size_t i : {0U, 1U, 2U}) pool.publish(refs[i], keys[i]);
  std::vector<std::int32_t> ids;
  for (const BlockRef& ref : refs) ids.push_back(ref.id());
  for (const std::size_t i : {2U, 3U, 0U, 4U, 1U}) refs[i].reset();
  pool.find(keys[2]).reset();  // used again: now the last of the named ones
  std::vector<std::int32_t> order;
  std::vector<BlockRef> given;
  for (int i = 0; i < 5; ++i) {
    given.push_back(pool.allocate());
    order.push_back(given.back().id());
  }
  EXPECT_THAT(std::vector(order.begin(), order.begin() + 2),
              testing::UnorderedElementsAre(ids[3], ids[4]));
  EXPECT_THAT(std::vector(order.begin() + 2, order.end()), ElementsAre(ids[0], ids[1], ids[2]));
}

TEST(BlockPool, ANameThatComesBackRaisesTheTargetByFour) {
  BlockPool pool(8, 1);
  const auto keys = chain(2);
  const auto fill = [&](const BlockKey& key) {
    const BlockRef block = pool.allocate();
    pool.publish(block, key);
  };
  fill(keys[0]);
  EXPECT_EQ(pool.n_cached_target(), 1);
  fill(keys[1]);  // drops the first
  EXPECT_EQ(pool.n_cached_target(), 1);
  EXPECT_FALSE(pool.contains(keys[0]));
  fill(keys[0]);
  EXPECT_EQ(pool.n_cached_target(), 5);
}

TEST(BlockPool, BoundsOfItsSize) {
  EXPECT_THROW(BlockPool(-1, 1), Error);
  BlockPool none(0, 0);
  EXPECT_EQ(none.n_total(), 0);
  EXPECT_FALSE(none.allocate());
  none.check({});
  EXPECT_THROW(none.check({0}), Error);
}

TEST(BlockCache, NamesTheBoundThatASizeBreaks) {
  EXPECT_NO_THROW(BlockCache({window_group(1)}, {1}, 1));
  KvGroupSpec spec;
  spec.kind = KvKind::kCross;
  try {
    BlockCache cache({spec}, {1}, 1);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace openllm::kv

#include "kv/block_cache.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace openllm::kv {
namespace {

std::vector<BlockKey> chain(int n, std::uint64_t salt = 0) {
  std::vector<BlockKey> keys;
  BlockKey previous = root_key({&salt, 1});
  for (std::int32_t i = 0; i < n; ++i) {
    const std::int32_t tokens[] = {i, i + 1};
    keys.push_back(previous = next_key(previous, tokens));
  }
  return keys;
}

KvGroupSpec window_group(int window) {
  KvGroupSpec spec;
  spec.kind = KvKind::kWindow;
  spec.window = window;
  return spec;
}

TEST(BlockKey, CoversEverythingBefore) {
  const auto a = chain(4);
  EXPECT_EQ(a, chain(4));
  EXPECT_NE(a[3], chain(4, 1)[3]);
  const std::int32_t one[] = {1, 2};
  const std::int32_t other[] = {2, 1};
  EXPECT_NE(next_key(a[0], one), next_key(a[0], other));
  EXPECT_NE(next_key(a[0], one), next_key(a[1], one));
}

TEST(BlockPool, GivesOutEveryBlockOnceAndTakesItBack) {
  BlockPool pool(5, 5);
  std::vector<BlockRef> refs;
  std::set<int> ids;
  for (int i = 0; i < 5; ++i) {
    refs.push_back(pool.allocate());
    ids.insert(refs.back().id());
  }
  EXPECT_EQ(ids.size(), 5U);
  EXPECT_FALSE(pool.allocate());
  EXPECT_EQ(pool.n_free(), 0);
  pool.check({1, 1, 1, 1, 1});
  BlockRef moved = std::move(refs[2]);
  EXPECT_FALSE(refs[2]);
  EXPECT_EQ(refs[2].id(), -1);
  refs.clear();
  EXPECT_EQ(pool.n_free(), 4);
  EXPECT_THROW(pool.check({0, 0, 0, 0, 0}), Error);
  moved.reset();
  pool.check({0, 0, 0, 0, 0});
}

TEST(BlockPool, NamedBlocksLastLongestAndAreShared) {
  BlockPool pool(3, 3);
  const auto keys = chain(3);
  std::int32_t first = -1;
  {
    BlockRef a = pool.allocate();
    BlockRef b = pool.allocate();
    first = a.id();
    pool.publish(a, keys[0]);
    pool.publish(b, keys[0]);  // the first one keeps the name
    b.reset();
  }
  BlockRef again = pool.find(keys[0]);
  BlockRef shared = pool.find(keys[0]);
  EXPECT_EQ(again.id(), first);
  EXPECT_EQ(shared.id(), first);
  EXPECT_EQ(pool.n_free(), 2);
  again.reset();
  EXPECT_EQ(pool.n_free(), 2);
  shared.reset();
  EXPECT_EQ(pool.n_free(), 3);
  const BlockRef x = pool.allocate();
  const BlockRef y = pool.allocate();
  EXPECT_TRUE(pool.contains(keys[0]));
  const BlockRef z = pool.allocate();
  EXPECT_EQ(z.id(), first);
  EXPECT_FALSE(pool.contains(keys[0]));
}

/// Texts of one block, one after the other. Returns how many were found.
int read_texts(BlockPool& pool, std::span<const BlockKey> texts) {
  int n_found = 0;
  for (const BlockKey& text : texts) {
    BlockRef block = pool.find(text);
    if (block) {
      ++n_found;
      continue;
    }
    block = pool.allocate();
    pool.publish(block, text);
  }
  return n_found;
}

TEST(BlockPool, TextsThatDoNotComeBackTouchNoMoreThanTheTarget) {
  BlockPool pool(1000, 10);
  EXPECT_EQ(pool.n_touched(), 0);
  EXPECT_EQ(read_texts(pool, chain(500)), 0);
  EXPECT_EQ(pool.n_touched(), 10);
  EXPECT_EQ(pool.n_cached_target(), 10);
  EXPECT_EQ(pool.n_free(), 1000);
  pool.check(std::vector<int>(1000, 0));
  // The last ones are those that are kept.
  const auto texts = chain(500);
  EXPECT_TRUE(pool.contains(texts[490]));
  EXPECT_FALSE(pool.contains(texts[489]));
}

TEST(BlockPool, TextsThatComeBackAreKeptFromTheirSecondTimeOn) {
  BlockPool pool(1000, 10);
  const auto texts = chain(100);
  EXPECT_EQ(read_texts(pool, texts), 0);
  EXPECT_EQ(pool.n_touched(), 10);
  (void)read_texts(pool, texts);
  EXPECT_GT(pool.n_cached_target(), 70);  // but for names whose place another one took
  (void)read_texts(pool, texts);
  EXPECT_GT(read_texts(pool, texts), 90);
  EXPECT_EQ(read_texts(pool, texts), 100);
  EXPECT_LE(pool.n_touched(), 110);
  pool.check(std::vector<int>(1000, 0));
  BlockPool small(8, 2);
  const auto few = std::span(texts).first(10);
  for (int i = 0; i < 20; ++i) (void)read_texts(small, few);
  EXPECT_EQ(small.n_cached_target(), 8);  // all of it, and not more
}

TEST(BlockPool, WhatIsHeldTakesUntouchedBlocksRatherThanAllThatIsCached) {
  BlockPool pool(20, 4);
  const auto texts = chain(4);
  (void)read_texts(pool, texts);
  EXPECT_EQ(pool.n_touched(), 4);
  std::vector<BlockRef> held;
  held.push_back(pool.allocate());  // four are cached, the target: the oldest goes
  EXPECT_EQ(pool.n_touched(), 4);
  EXPECT_FALSE(pool.contains(texts[0]));
  for (int i = 0; i < 16; ++i) held.push_back(pool.allocate());
  EXPECT_EQ(pool.n_touched(), 20);
  EXPECT_TRUE(pool.contains(texts[1]));
  for (int i = 0; i < 3; ++i) held.push_back(pool.allocate());
  EXPECT_FALSE(pool.allocate());
  EXPECT_FALSE(pool.contains(texts[3]));
  pool.check(std::vector<int>(20, 1));
  held.clear();
  EXPECT_EQ(pool.n_free(), 20);
  pool.check(std::vector<int>(20, 0));
}

TEST(BlockCache, TellsItsBytes) {
  KvGroupSpec wide;
  wide.bytes_per_block = 200;
  KvGroupSpec narrow = window_group(4);
  narrow.bytes_per_block = 6;
  BlockCache cache({wide, narrow}, {5, 7}, 2);
  EXPECT_EQ(cache.bytes_total(), 5 * 200 + 7 * 6);
  EXPECT_EQ(cache.bytes_touched(), 0);
  {
    SequenceBlocks s;
    ASSERT_TRUE(cache.grow(s, 5));
    EXPECT_EQ(cache.bytes_touched(), 3 * 206);
  }
  EXPECT_EQ(cache.bytes_touched(), 3 * 206);
  SequenceBlocks s;
  ASSERT_TRUE(cache.grow(s, 6));
  EXPECT_EQ(cache.bytes_touched(), 3 * 206);
}

TEST(BlockCache, RefusesNonsense) {
  EXPECT_THROW(BlockCache({}, {4}, 4), Error);
  EXPECT_THROW(BlockCache({KvGroupSpec{}}, {}, 4), Error);
  EXPECT_THROW(BlockCache({KvGroupSpec{}}, {4}, 0), Error);
  EXPECT_THROW(BlockCache({KvGroupSpec{}}, {0}, 4), Error);
  EXPECT_THROW(BlockCache({KvGroupSpec{}}, {4, 4}, 4), Error);
  EXPECT_THROW(BlockCache({window_group(0)}, {4}, 4), Error);
}

TEST(BlockCache, WithoutGroupsKeepsNothingAndHasRoomForAll) {
  BlockCache cache({}, {}, 4);
  SequenceBlocks s;
  EXPECT_TRUE(cache.grow(s, 1000));
  EXPECT_EQ(cache.n_total(), 0);
  EXPECT_GE(cache.max_tokens(), 1 << 20);
}

TEST(BlockCache, GrowsAllGroupsOrNone) {
  BlockCache cache({KvGroupSpec{}, window_group(4)}, {8, 3}, 2);
  SequenceBlocks s;
  EXPECT_TRUE(cache.grow(s, 5));
  EXPECT_EQ(s.n_blocks(), 3);
  EXPECT_FALSE(cache.grow(s, 7));
  EXPECT_EQ(s.n_blocks(), 3);
  EXPECT_EQ(cache.reachable(s, 9), 6);
  const SequenceBlocks* all[] = {&s};
  cache.check(all);
  cache.trim(s, 6);  // the query at 6 sees 3, 4, 5: block 0 is free
  EXPECT_EQ(s.table(1)[0].id(), -1);
  EXPECT_GE(s.table(1)[1].id(), 0);
  EXPECT_GE(s.table(0)[0].id(), 0);
  EXPECT_EQ(cache.reachable(s, 9), 8);
  EXPECT_TRUE(cache.grow(s, 7));
  cache.check(all);
  s.truncate(3);
  EXPECT_EQ(s.n_blocks(), 3);
  s.clear();
  EXPECT_EQ(cache.n_free(), cache.n_total());
}

TEST(BlockCache, MaxTokensHoldsForEverySequenceLength) {
  for (const int window : {1, 2, 3, 4, 5, 9}) {
    for (int n_blocks = 1; n_blocks < 8; ++n_blocks) {
      BlockCache cache({KvGroupSpec{}, window_group(window)}, {40, n_blocks}, 3);
      SequenceBlocks s;
      int length = 0;
      while (length < 120 && cache.grow(s, length + 1)) cache.trim(s, ++length);
      EXPECT_EQ(length, cache.max_tokens()) << window << " " << n_blocks;
    }
  }
}

TEST(BlockCache, WindowGroupsNeedOnlyWhatTheNextPositionSees) {
  BlockCache cache({KvGroupSpec{}, window_group(4)}, {16, 16}, 2);
  const auto keys = chain(6);
  {
    SequenceBlocks s;
    ASSERT_TRUE(cache.grow(s, 12));
    cache.publish(s, 0, keys);
    EXPECT_EQ(cache.find_prefix(keys), 6);
    cache.trim(s, 12);
  }
  // Blocks 0 to 3 of the window group are the least recently used free ones with a name; 10 others
  // come before.
  SequenceBlocks other;
  ASSERT_TRUE(cache.grow(other, 20));
  EXPECT_EQ(cache.find_prefix(keys), 6);
  SequenceBlocks again;
  cache.take_prefix(again, std::span(keys).first(6));
  EXPECT_EQ(again.table(1)[3].id(), -1);  // position 12 sees 9, 10, 11
  EXPECT_GE(again.table(1)[4].id(), 0);
  EXPECT_GE(again.table(0)[0].id(), 0);
  const SequenceBlocks* all[] = {&other, &again};
  cache.check(all);
  again.clear();

  ASSERT_TRUE(cache.grow(other, 28));  // four named blocks of each pool are gone
  EXPECT_LT(cache.find_prefix(keys), 6);
  EXPECT_FALSE(cache.grow(other, 34));
}

TEST(BlockCache, APrefixReplacesWhatTheSequenceHad) {
  BlockCache cache({window_group(2)}, {9}, 2);
  const auto keys = chain(4);
  SequenceBlocks owner;
  ASSERT_TRUE(cache.grow(owner, 8));
  cache.publish(owner, 0, keys);
  SequenceBlocks taker;
  ASSERT_TRUE(cache.grow(taker, 10));
  cache.take_prefix(taker, keys);
  EXPECT_EQ(taker.n_blocks(), 4);
  for (std::size_t b = 0; b < 3; ++b) EXPECT_EQ(taker.table(0)[b].id(), -1);
  EXPECT_EQ(taker.table(0)[3].id(), owner.table(0)[3].id());
  EXPECT_EQ(cache.n_free(), 5);
}

TEST(BlockCache, MissingBlockOutsideTheWindowDoesNotMatter) {
  BlockCache cache({window_group(4)}, {6}, 2);
  const auto keys = chain(6);
  SequenceBlocks s;
  ASSERT_TRUE(cache.grow(s, 12));
  cache.publish(s, 0, keys);
  cache.trim(s, 12);
  SequenceBlocks taker;
  ASSERT_TRUE(cache.grow(taker, 4));  // takes the blocks that held 0 and 1
  s.clear();
  EXPECT_EQ(cache.find_prefix(keys), 6);
  EXPECT_EQ(cache.find_prefix(std::span(keys).first(3)), 0);  // needs block 1
  EXPECT_EQ(cache.find_prefix(std::span(keys).first(4)), 4);  // needs 2 and 3
}

KvGroupSpec cross_group() {
  KvGroupSpec spec;
  spec.kind = KvKind::kCross;
  return spec;
}

TEST(SharedBlocks, AreCopiedForWhoWritesFirst) {
  BlockCache cache({KvGroupSpec{}, window_group(4)}, {8, 8}, 4);
  SequenceBlocks a;
  SequenceBlocks b;
  ASSERT_TRUE(cache.grow(a, 6));
  cache.share(a, b);
  cache.check(std::vector<const SequenceBlocks*>{&a, &b});
  EXPECT_EQ(cache.n_free(), 12);
  EXPECT_EQ(b.table(0)[1].id(), a.table(0)[1].id());
  std::vector<BlockCopy> copies;
  ASSERT_TRUE(cache.own(b, 6, copies));
  ASSERT_EQ(copies.size(), 2U) << "one in each group";
  EXPECT_EQ(copies[0].from, a.table(0)[1].id());
  EXPECT_EQ(copies[0].to, b.table(0)[1].id());
  EXPECT_EQ(b.table(0)[0].id(), a.table(0)[0].id()) << "full ones stay shared";
  ASSERT_TRUE(cache.own(a, 6, copies));
  ASSERT_TRUE(cache.own(b, 6, copies));
  EXPECT_EQ(copies.size(), 2U) << "each has its own now";
  ASSERT_TRUE(cache.own(a, 8, copies)) << "a new block, which nobody shares";
  EXPECT_EQ(copies.size(), 2U);
  cache.check(std::vector<const SequenceBlocks*>{&a, &b});
  a.clear();
  b.clear();
  EXPECT_EQ(cache.n_free(), 16);
}

TEST(SharedBlocks, NothingChangesWhenNoBlockIsLeft) {
  BlockCache cache({KvGroupSpec{}, window_group(4)}, {3, 1}, 4);
  SequenceBlocks a;
  SequenceBlocks b;
  ASSERT_TRUE(cache.grow(a, 3));
  cache.share(a, b);
  std::vector<BlockCopy> copies;
  EXPECT_FALSE(cache.own(b, 3, copies));
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(b.table(0)[0].id(), a.table(0)[0].id());
  cache.check(std::vector<const SequenceBlocks*>{&a, &b});
}

TEST(SourceBlocks, AreTakenAsAWholeAndLiveAsLongAsTheSequence) {
  BlockCache cache({KvGroupSpec{}, cross_group()}, {8, 5}, 4);
  EXPECT_EQ(cache.max_tokens(), 32);
  EXPECT_EQ(cache.max_source_tokens(), 20);
  SequenceBlocks a;
  cache.take_prefix(a, {});
  ASSERT_TRUE(cache.take_source(a, 9));
  EXPECT_TRUE(a.has_source());
  EXPECT_EQ(a.table(1).size(), 3U);
  ASSERT_TRUE(cache.grow(a, 1));
  EXPECT_EQ(a.n_blocks(), 1);
  a.truncate(0);
  EXPECT_EQ(a.table(1).size(), 3U) << "of positions alone";
  SequenceBlocks b;
  EXPECT_FALSE(cache.take_source(b, 9)) << "two blocks are left";
  const std::vector<int> none(2, 0);
  EXPECT_FALSE(cache.fits({}, 1, 1, none, 9));
  EXPECT_TRUE(cache.fits({}, 1, 1, none, 8));
  EXPECT_TRUE(cache.fits({}, 1, 1, std::vector<int>{0, 5}, 0)) << "a shared source takes nothing";
  cache.share_source(a, b);
  cache.check(std::vector<const SequenceBlocks*>{&a, &b});
  a.clear();
  EXPECT_FALSE(a.has_source());
  EXPECT_EQ(cache.n_free(), 8 + 2);
  b.clear();
  EXPECT_EQ(cache.n_free(), 13);
}

}  // namespace
}  // namespace openllm::kv

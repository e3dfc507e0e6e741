// Groups of recurrent states: a block has the state behind its last computed position.

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "kv/block_cache.h"

namespace openllm::kv {
namespace {

constexpr int kBlock = 4;

KvGroupSpec state_group(int snapshot_blocks) {
  KvGroupSpec spec;
  spec.kind = KvKind::kState;
  spec.snapshot_blocks = snapshot_blocks;
  return spec;
}

std::vector<BlockKey> chain(int n) {
  std::vector<BlockKey> keys;
  BlockKey previous = root_key({});
  for (std::int32_t i = 0; i < n; ++i) {
    const std::int32_t tokens[] = {i};
    keys.push_back(previous = next_key(previous, tokens));
  }
  return keys;
}

/// The blocks that a sequence has, as a string: x for one that is there.
std::string held(const SequenceBlocks& sequence, std::size_t group = 0) {
  std::string text;
  for (const BlockRef& block : sequence.table(group)) text += block ? 'x' : '.';
  return text;
}

TEST(StateGroup, AStepTakesItsLastBlockAndSnapshotsOnTheWay) {
  BlockCache cache({state_group(2)}, {32}, kBlock);
  SequenceBlocks sequence;
  ASSERT_TRUE(cache.grow(sequence, 7 * kBlock + 1));
  // Every second one, the last full one, and the one it ends in.
  EXPECT_EQ(held(sequence), ".x.x.xxx");
  SequenceBlocks even;
  ASSERT_TRUE(cache.grow(even, 5 * kBlock));
  EXPECT_EQ(held(even), ".x.xx") << "the block it ends in is full itself";
  const SequenceBlocks* const all[] = {&sequence, &even};
  cache.check(all);
}

TEST(StateGroup, WithoutSnapshotsThereIsOnlyTheLast) {
  BlockCache cache({state_group(0)}, {32}, kBlock);
  SequenceBlocks sequence;
  ASSERT_TRUE(cache.grow(sequence, 5 * kBlock + 2));
  EXPECT_EQ(held(sequence), ".....x");
}

TEST(StateGroup, SnapshotsLeaveHalfOfTheBlocksToOthers) {
  BlockCache cache({state_group(1)}, {8}, kBlock);
  SequenceBlocks sequence;
  ASSERT_TRUE(cache.grow(sequence, 20 * kBlock));
  EXPECT_EQ(cache.n_free(), 4);
  EXPECT_EQ(held(sequence).substr(16), "xxxx") << "the latest first";
}

TEST(StateGroup, OnlyTheStateBeforeTheNextPositionStays) {
  BlockCache cache({state_group(1)}, {32}, kBlock);
  SequenceBlocks sequence;
  ASSERT_TRUE(cache.grow(sequence, 3 * kBlock + 1));
  cache.trim(sequence, 3 * kBlock + 1);
  EXPECT_EQ(held(sequence), "...x");
  ASSERT_TRUE(cache.grow(sequence, 4 * kBlock));
  cache.trim(sequence, 4 * kBlock);
  EXPECT_EQ(held(sequence), "...x") << "the next position reads the last full block";
  ASSERT_TRUE(cache.grow(sequence, 4 * kBlock + 1));
  cache.trim(sequence, 4 * kBlock + 1);
  EXPECT_EQ(held(sequence), "....x");
  EXPECT_EQ(cache.n_free(), 31);
}

TEST(StateGroup, APrefixEndsWithASnapshot) {
  BlockCache cache({state_group(2)}, {32}, kBlock);
  const std::vector<BlockKey> keys = chain(7);
  SequenceBlocks sequence;
  ASSERT_TRUE(cache.grow(sequence, 7 * kBlock + 1));
  cache.publish(sequence, 0, keys);
  sequence.clear();
  EXPECT_EQ(cache.find_prefix(keys), 7);
  EXPECT_EQ(cache.find_prefix(std::span(keys).first(5)), 4) << "block 4 was not kept";
  EXPECT_EQ(cache.find_prefix(std::span(keys).first(1)), 0);
  SequenceBlocks other;
  cache.take_prefix(other, std::span(keys).first(4));
  EXPECT_EQ(held(other), "...x");
  // What goes on writes a block of its own, so the snapshot stays as it is.
  ASSERT_TRUE(cache.grow(other, 4 * kBlock + 1));
  EXPECT_EQ(held(other), "...xx");
  EXPECT_NE(other.table(0)[3].id(), other.table(0)[4].id());
}

TEST(StateGroup, WhatFitsGrowsToItsEnd) {
  BlockCache cache({state_group(4), KvGroupSpec{}}, {2, 100}, kBlock);
  EXPECT_EQ(cache.max_tokens(), 100 * kBlock);
  std::vector<int> reserve(2, 0);
  EXPECT_TRUE(cache.fits({}, 90 * kBlock, 16, reserve));
  SequenceBlocks sequence;
  for (int n = 3; n < 90 * kBlock; n += 3) {
    ASSERT_EQ(cache.reachable(sequence, n), n);
    ASSERT_TRUE(cache.grow(sequence, n));
    cache.trim(sequence, n);
  }
  SequenceBlocks second;
  ASSERT_TRUE(cache.grow(second, 1));
  EXPECT_FALSE(cache.fits({}, 4, 16, reserve));
  EXPECT_EQ(cache.reachable(sequence, 95 * kBlock), 90 * kBlock) << "no block for the next state";
  EXPECT_FALSE(cache.grow(sequence, 95 * kBlock));
}

TEST(StateGroup, OneBlockHoldsNoMoreThanItsPositions) {
  EXPECT_EQ(BlockCache({state_group(1)}, {1}, kBlock).max_tokens(), kBlock);
  EXPECT_GT(BlockCache({state_group(1)}, {2}, kBlock).max_tokens(), 1000000);
}

}  // namespace
}  // namespace openllm::kv

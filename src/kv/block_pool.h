#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kv/block_key.h"

namespace openllm::kv {

class BlockPool;

/// One owner's share of a block; the block is free again when its last share is gone. Empty after a
/// move.
class BlockRef {
 public:
  BlockRef() = default;
  ~BlockRef() { reset(); }
  BlockRef(BlockRef&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), id_(std::exchange(other.id_, -1)) {}
  BlockRef& operator=(BlockRef&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      id_ = std::exchange(other.id_, -1);
    }
    return *this;
  }
  BlockRef(const BlockRef&) = delete;
  BlockRef& operator=(const BlockRef&) = delete;

  explicit operator bool() const noexcept { return pool_ != nullptr; }
  /// -1 when empty, as block tables have it.
  std::int32_t id() const noexcept { return id_; }
  void reset() noexcept;

 private:
  friend class BlockPool;
  BlockRef(BlockPool* pool, std::int32_t id) noexcept : pool_(pool), id_(id) {}

  BlockPool* pool_ = nullptr;
  std::int32_t id_ = -1;
};

/// The blocks of one KV group: counts and names only, no bytes. Free blocks whose content has a
/// name stay findable until they are given out again, least recently used first.
///
/// A block that was never given out is untouched: its memory costs nothing yet. So a pool decides
/// between keeping what it has cached and touching another block. It keeps up to `n_cached_target`
/// named free blocks. The target starts small and grows by four whenever a name comes back that was
/// dropped: the content was computed a second time, which a larger cache would have saved. Thus
/// texts that never return cost no more than the first target, and those that do soon find their
/// blocks kept.
///
/// Invariants (`check` checks the first three):
/// 1. A touched block is free exactly when it has no shares; then it is in the free list, once.
///    Untouched ones are those from n_touched on; they are free too.
/// 2. shares = number of BlockRefs that hold the block; free + held = n_total.
/// 3. The index has exactly the named blocks, each under its own key; no two blocks share a key.
/// 4. A name outlives the last share and ends when the block is given out by `allocate`, so what
///    `find` gives has the content that its name says.
/// 5. Given out are, in this order: free blocks without a name; below the target of named free
///    blocks an untouched one; the named one that became free first; an untouched one.
///
/// Must outlive its BlockRefs. Thread safety: one thread at a time.
class BlockPool {
 public:
  /// `n_cached_target`: at first; more than the pool has is all of it.
  BlockPool(int n_blocks, int n_cached_target);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  int n_total() const noexcept { return static_cast<int>(blocks_.size()) - 1; }
  int n_free() const noexcept { return n_free_; }
  /// Blocks that were ever given out.
  int n_touched() const noexcept { return n_touched_; }
  int n_cached_target() const noexcept { return n_cached_target_; }

  /// A block with undefined content and no name, or an empty ref when every block is held.
  BlockRef allocate() noexcept;
  /// A further share of a block that is held; empty for an empty ref.
  BlockRef share(const BlockRef& block) noexcept;
  /// Whether somebody else holds the block too.
  bool is_shared(const BlockRef& block) const noexcept { return at(block.id_).shares > 1; }
  /// A share of the block with this content, or an empty ref.
  BlockRef find(const BlockKey& key) noexcept;
  bool contains(const BlockKey& key) const noexcept { return index_.contains(key); }
  /// Like `contains`; sets `is_free` when taking the block would lower n_free.
  bool contains(const BlockKey& key, bool& is_free) const noexcept;
  /// Names the content of a full block, so that `find` gives it. Nothing happens if it has a name
  /// or if another block has this one.
  void publish(const BlockRef& block, const BlockKey& key);

  /// Throws kInternal when free list, counts and index contradict each other or `held` (shares per
  /// block, counted over all owners).
  void check(const std::vector<int>& held) const;

 private:
  friend class BlockRef;
  struct Block {
    std::int32_t shares = 0;
    std::int32_t previous = -1;  // in the free list, a ring through the sentinel
    std::int32_t next = -1;
    bool named = false;
    BlockKey key{};
  };
  void release(std::int32_t id) noexcept;
  std::int32_t take_free() noexcept;
  BlockKey& dropped_place(const BlockKey& key) noexcept {
    return dropped_[key.low & (dropped_.size() - 1)];
  }
  void link_before(std::int32_t id, std::int32_t next) noexcept;
  void unlink(std::int32_t id) noexcept;
  Block& at(std::int32_t id) noexcept { return blocks_[static_cast<std::size_t>(id)]; }
  const Block& at(std::int32_t id) const noexcept { return blocks_[static_cast<std::size_t>(id)]; }

  // The last one is the sentinel of the free list: its next is given out first.
  std::vector<Block> blocks_;
  std::int32_t sentinel_;
  int n_free_ = 0;
  int n_cached_ = 0;  // free and named
  int n_touched_ = 0;
  int n_cached_target_;
  // Names of blocks that were given out again, by their hash: a place knows the last of those that
  // fall on it. Of a fixed size, so that dropping a name takes no memory.
  std::vector<BlockKey> dropped_;
  std::unordered_map<BlockKey, std::int32_t, BlockKeyHash> index_;
};

inline void BlockRef::reset() noexcept {
  if (pool_ == nullptr) return;
  std::exchange(pool_, nullptr)->release(std::exchange(id_, -1));
}

}  // namespace openllm::kv

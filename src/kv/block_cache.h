#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/kv_spec.h"

namespace openllm::kv {

/// The blocks of one sequence: per group a table with one entry per block of positions, empty where
/// the block left the group's window or no snapshot of the state was kept. All tables have the same
/// length, but those of cross groups, which hold the source text. Giving it up frees the blocks.
class SequenceBlocks {
 public:
  /// Blocks of positions covered.
  int n_blocks() const noexcept {
    return tables_.empty() ? 0 : static_cast<int>(tables_.front().size());
  }
  std::span<const BlockRef> table(std::size_t group) const noexcept { return tables_[group]; }
  bool has_source() const noexcept { return has_source_; }
  /// Drops the blocks of positions behind the first `n`; nothing when there are no more than that.
  void truncate(int n) noexcept;
  /// Drops everything, the source's blocks too.
  void clear() noexcept;

 private:
  friend class BlockCache;
  std::vector<std::vector<BlockRef>> tables_;
  std::vector<int> n_trimmed_;  // entries at the front known to be empty; kSource for cross groups
  bool has_source_ = false;
  static constexpr int kSource = -1;
};

/// A block whose content goes into another one before anything is written: sequences shared it, and
/// one of them is about to write.
struct BlockCopy {
  std::size_t group = 0;
  std::int32_t from = -1;
  std::int32_t to = -1;
};

/// Free blocks whose content a pool keeps at first before it gives them out again rather than touch
/// more memory: a share of the pool, but some thousand tokens.
constexpr int first_cached_target(int n_blocks) { return n_blocks / 32 < 64 ? 64 : n_blocks / 32; }

/// The pools of all groups and the rules that hold across them.
/// Thread safety: one thread at a time. Must outlive its SequenceBlocks.
class BlockCache {
 public:
  /// Throws kInvalidArgument on sizes that make no sense, kUnsupported for kinds of group it has no
  /// rule for, or when the first group is a cross group.
  BlockCache(std::vector<KvGroupSpec> groups, const std::vector<int>& blocks_per_group,
             int block_size);

  std::int64_t n_total() const noexcept;
  std::int64_t n_free() const noexcept;
  /// Memory of all blocks, and of those that were ever given out.
  std::int64_t bytes_total() const noexcept;
  std::int64_t bytes_touched() const noexcept;

  /// Longest sequence that fits when it is alone and computed row by row.
  std::int64_t max_tokens() const noexcept;
  /// Longest source text that fits; 0 without cross groups.
  std::int64_t max_source_tokens() const noexcept;

  /// Takes the blocks of a source text for a sequence that has none. On false nothing has changed.
  bool take_source(SequenceBlocks& sequence, std::int64_t n_tokens);
  /// Shares the source of `from`, which has one, with a sequence that has none.
  void share_source(const SequenceBlocks& from, SequenceBlocks& to);
  /// Makes `to` hold what `from` holds, by shares; what it held before is given up.
  void share(const SequenceBlocks& from, SequenceBlocks& to);
  /// Makes position `n_past` of the sequence its own to write: where others share its block, takes
  /// a new one and adds the copy to `copies`. On false nothing has changed.
  bool own(SequenceBlocks& sequence, std::int64_t n_past, std::vector<BlockCopy>& copies);

  /// Most positions that the sequence could cover with the blocks that are free now, at most
  /// `wanted`.
  std::int64_t reachable(const SequenceBlocks& sequence, std::int64_t wanted) const noexcept;
  /// Covers positions [0, n_tokens) in every group. On false nothing has changed. A group of states
  /// gets the block of the last position, and of those before it snapshots while half of its blocks
  /// are free: they cost nobody a place.
  bool grow(SequenceBlocks& sequence, std::int64_t n_tokens);
  /// Frees blocks that no query at a position >= n_past sees.
  void trim(SequenceBlocks& sequence, std::int64_t n_past) noexcept;
  /// Names the sequence's blocks [first, first + keys.size()); they must be full.
  void publish(const SequenceBlocks& sequence, int first, std::span<const BlockKey> keys);

  /// Number of leading blocks (of those named) that need not be computed: for groups that see
  /// everything all of them are cached, for others those that the next position sees. Only
  /// counts.
  int find_prefix(std::span<const BlockKey> keys) const;
  /// Adds to `reserve` [groups] the blocks a sequence will still take until it covers `n_tokens`
  /// positions and one block more. `n_rows` bounds how many positions a step adds.
  void add_outstanding(const SequenceBlocks& sequence, std::int64_t n_tokens, std::int64_t n_rows,
                       std::vector<int>& reserve) const;
  /// Whether an empty sequence could take this prefix and a source of `n_source` tokens, and then
  /// cover `n_tokens` positions, with what is free now without touching `reserve` [groups].
  bool fits(std::span<const BlockKey> prefix, std::int64_t n_tokens, std::int64_t n_rows,
            std::span<const int> reserve, std::int64_t n_source = 0) const;
  /// Makes an empty sequence start with the cached prefix.
  void take_prefix(SequenceBlocks& sequence, std::span<const BlockKey> prefix);

  /// Throws kInternal unless the pools are consistent and these sequences hold all blocks that are
  /// held.
  void check(std::span<const SequenceBlocks* const> sequences) const;

 private:
  /// Blocks that a sequence of `n_tokens` positions adds to its first `n_blocks`, at most what it
  /// holds at once.
  int blocks_to_add(std::size_t group, int n_blocks, std::int64_t n_tokens,
                    std::int64_t n_rows) const noexcept;
  /// Whether only the last blocks are needed.
  bool forgets(std::size_t group) const noexcept {
    return groups_[group].kind == KvKind::kWindow || groups_[group].kind == KvKind::kState;
  }
  /// Blocks that a sequence must take, to cover `more` blocks of positions beyond what it has.
  int required(std::size_t group, int more) const noexcept {
    if (is_cross(group)) return 0;
    return groups_[group].kind == KvKind::kState ? std::min(more, 1) : more;
  }
  void grow_states(std::size_t group, std::int64_t n_tokens, std::vector<BlockRef>& table);
  /// First block that the query at position `n_past` sees.
  int first_visible(std::size_t group, std::int64_t n_past) const noexcept;
  std::int64_t block_bytes(std::size_t group) const noexcept {
    return groups_[group].bytes_per_block;
  }
  bool is_cross(std::size_t group) const noexcept { return groups_[group].kind == KvKind::kCross; }
  /// Makes the tables of a sequence that has none.
  void prepare(SequenceBlocks& sequence) const;
  int blocks_for(std::int64_t n_tokens) const noexcept {
    return static_cast<int>((n_tokens + block_size_ - 1) / block_size_);
  }

  std::vector<KvGroupSpec> groups_;
  int block_size_;
  std::vector<std::unique_ptr<BlockPool>> pools_;
};

}  // namespace openllm::kv

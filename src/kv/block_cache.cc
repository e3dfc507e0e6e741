#include "kv/block_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace openllm::kv {

void SequenceBlocks::clear() noexcept {
  truncate(0);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    if (n_trimmed_[g] == kSource) tables_[g].clear();
  }
  has_source_ = false;
}

void SequenceBlocks::truncate(int n) noexcept {
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    if (n_trimmed_[g] == kSource) continue;
    auto& table = tables_[g];
    // From the back: the prefix's first blocks are then the most recently used and the last to be
    // given out.
    while (table.size() > static_cast<std::size_t>(n)) table.pop_back();
    n_trimmed_[g] = std::min(n_trimmed_[g], n);
  }
}

BlockCache::BlockCache(std::vector<KvGroupSpec> groups, const std::vector<int>& blocks_per_group,
                       int block_size)
    : groups_(std::move(groups)), block_size_(block_size) {
  if (block_size < 1)
    base::fail(ErrorCode::kInvalidArgument, "kv: block size: out of range (expected >= 1, got ",
               block_size, ")");
  if (groups_.size() != blocks_per_group.size()) {
    base::fail(ErrorCode::kInvalidArgument, "kv: wrong number of block counts (expected ",
               groups_.size(), ", got ", blocks_per_group.size(), ")");
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const KvGroupSpec& spec = groups_[g];
    if (spec.kind == KvKind::kCross && g == 0) {
      base::fail(ErrorCode::kUnsupported, "kv: group ", g,
                 ": no block rule for cross caches that come first");
    }
    if (spec.kind == KvKind::kWindow && spec.window < 1) {
      base::fail(ErrorCode::kInvalidArgument, "kv: group ", g,
                 ": window: out of range (expected >= 1, got ", spec.window, ")");
    }
    if (blocks_per_group[g] < 1) {
      base::fail(ErrorCode::kInvalidArgument, "kv: group ", g,
                 ": too few blocks (expected at least 1, got ", blocks_per_group[g], ")");
    }
    pools_.push_back(
        std::make_unique<BlockPool>(blocks_per_group[g], first_cached_target(blocks_per_group[g])));
  }
}

std::int64_t BlockCache::n_total() const noexcept {
  std::int64_t sum = 0;
  for (const auto& pool : pools_) sum += pool->n_total();
  return sum;
}

std::int64_t BlockCache::n_free() const noexcept {
  std::int64_t sum = 0;
  for (const auto& pool : pools_) sum += pool->n_free();
  return sum;
}

std::int64_t BlockCache::bytes_total() const noexcept {
  std::int64_t sum = 0;
  for (std::size_t g = 0; g < pools_.size(); ++g) sum += pools_[g]->n_total() * block_bytes(g);
  return sum;
}

std::int64_t BlockCache::bytes_touched() const noexcept {
  std::int64_t sum = 0;
  for (std::size_t g = 0; g < pools_.size(); ++g) sum += pools_[g]->n_touched() * block_bytes(g);
  return sum;
}

int BlockCache::first_visible(std::size_t group, std::int64_t n_past) const noexcept {
  if (groups_[group].kind == KvKind::kState) {
    return static_cast<int>(std::max<std::int64_t>(0, n_past - 1) / block_size_);
  }
  if (groups_[group].kind != KvKind::kWindow) return 0;
  return static_cast<int>(std::max<std::int64_t>(0, n_past - groups_[group].window + 1) /
                          block_size_);
}

std::int64_t BlockCache::max_tokens() const noexcept {
  std::int64_t most = std::numeric_limits<std::int32_t>::max();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) continue;
    const std::int64_t n_blocks = pools_[g]->n_total();
    if (groups_[g].kind == KvKind::kState && n_blocks >= 2) continue;  // the next is made of one
    if (groups_[g].kind == KvKind::kWindow) {
      // `window` positions touch at most this many blocks, wherever they start.
      const std::int64_t touched =
          (std::int64_t{groups_[g].window} - 1 + block_size_ - 1) / block_size_ + 1;
      if (n_blocks >= touched) continue;
    }
    most = std::min(most, n_blocks * block_size_);
  }
  return most;
}

std::int64_t BlockCache::max_source_tokens() const noexcept {
  std::int64_t most = -1;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!is_cross(g)) continue;
    const std::int64_t tokens = std::int64_t{pools_[g]->n_total()} * block_size_;
    most = most < 0 ? tokens : std::min(most, tokens);
  }
  return std::max<std::int64_t>(most, 0);
}

void BlockCache::prepare(SequenceBlocks& sequence) const {
  if (!sequence.tables_.empty()) return;
  sequence.n_trimmed_.assign(groups_.size(), 0);  // first: no table without it
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) sequence.n_trimmed_[g] = SequenceBlocks::kSource;
  }
  sequence.tables_.resize(groups_.size());
}

bool BlockCache::take_source(SequenceBlocks& sequence, std::int64_t n_tokens) {
  const int n = blocks_for(n_tokens);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g) && pools_[g]->n_free() < n) return false;
  }
  prepare(sequence);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!is_cross(g)) continue;
    auto& table = sequence.tables_[g];
    table.reserve(static_cast<std::size_t>(n));
    while (table.size() < static_cast<std::size_t>(n)) table.push_back(pools_[g]->allocate());
  }
  sequence.has_source_ = true;
  return true;
}

void BlockCache::share_source(const SequenceBlocks& from, SequenceBlocks& to) {
  base::check(from.has_source_ && !to.has_source_, "kv: no source to share");
  prepare(to);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!is_cross(g)) continue;
    for (const BlockRef& block : from.tables_[g]) to.tables_[g].push_back(pools_[g]->share(block));
  }
  to.has_source_ = true;
}

void BlockCache::share(const SequenceBlocks& from, SequenceBlocks& to) {
  SequenceBlocks shares;
  prepare(shares);
  if (!from.tables_.empty()) shares.n_trimmed_ = from.n_trimmed_;
  for (std::size_t g = 0; g < from.tables_.size(); ++g) {
    for (const BlockRef& block : from.tables_[g])
      shares.tables_[g].push_back(pools_[g]->share(block));
  }
  shares.has_source_ = from.has_source_;
  to = std::move(shares);
}

bool BlockCache::own(SequenceBlocks& sequence, std::int64_t n_past,
                     std::vector<BlockCopy>& copies) {
  const auto b = static_cast<std::size_t>(n_past / block_size_);
  if (n_past % block_size_ == 0 || b >= static_cast<std::size_t>(sequence.n_blocks())) return true;
  const auto is_others = [&](std::size_t g) {
    return !is_cross(g) && sequence.tables_[g][b] && pools_[g]->is_shared(sequence.tables_[g][b]);
  };
  std::size_t n_copies = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!is_others(g)) continue;
    if (pools_[g]->n_free() < 1) return false;
    ++n_copies;
  }
  copies.reserve(copies.size() + n_copies);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!is_others(g)) continue;
    BlockRef fresh = pools_[g]->allocate();
    copies.push_back({g, sequence.tables_[g][b].id(), fresh.id()});
    sequence.tables_[g][b] = std::move(fresh);
  }
  return true;
}

std::int64_t BlockCache::reachable(const SequenceBlocks& sequence,
                                   std::int64_t wanted) const noexcept {
  int more = blocks_for(wanted) - sequence.n_blocks();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (pools_[g]->n_free() < required(g, more)) more = pools_[g]->n_free();
  }
  return std::min(wanted, std::int64_t{sequence.n_blocks() + more} * block_size_);
}

bool BlockCache::grow(SequenceBlocks& sequence, std::int64_t n_tokens) {
  prepare(sequence);
  const int before = sequence.n_blocks();
  const int more = blocks_for(n_tokens) - before;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (pools_[g]->n_free() < required(g, more)) return false;
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) continue;
    if (groups_[g].kind == KvKind::kState) {
      grow_states(g, n_tokens, sequence.tables_[g]);
      continue;
    }
    for (int i = 0; i < more; ++i) sequence.tables_[g].push_back(pools_[g]->allocate());
  }
  return true;
}

void BlockCache::grow_states(std::size_t group, std::int64_t n_tokens,
                             std::vector<BlockRef>& table) {
  BlockPool& pool = *pools_[group];
  const auto first = static_cast<int>(table.size());
  const int last = blocks_for(n_tokens) - 1;
  if (last < first) return;
  table.resize(static_cast<std::size_t>(last) + 1);
  table.back() = pool.allocate();
  const int stride = groups_[group].snapshot_blocks;
  if (stride == 0) return;
  const bool ends_full = n_tokens % block_size_ == 0;
  // The latest first: what a prefix of this sequence most likely ends with.
  for (int b = last - 1; b >= first && pool.n_free() > pool.n_total() / 2; --b) {
    const bool is_last_full = b == last - 1 && !ends_full;
    if (is_last_full || (b + 1) % stride == 0) table[static_cast<std::size_t>(b)] = pool.allocate();
  }
}

void BlockCache::trim(SequenceBlocks& sequence, std::int64_t n_past) noexcept {
  for (std::size_t g = 0; g < sequence.tables_.size(); ++g) {
    if (is_cross(g)) continue;
    const int end = std::min(first_visible(g, n_past), sequence.n_blocks());
    for (int& i = sequence.n_trimmed_[g]; i < end; ++i)
      sequence.tables_[g][static_cast<std::size_t>(i)].reset();
  }
}

void BlockCache::publish(const SequenceBlocks& sequence, int first,
                         std::span<const BlockKey> keys) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) continue;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const BlockRef& block = sequence.tables_[g][static_cast<std::size_t>(first) + i];
      if (block) pools_[g]->publish(block, keys[i]);
    }
  }
}

int BlockCache::find_prefix(std::span<const BlockKey> keys) const {
  std::size_t n = keys.size();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (groups_[g].kind != KvKind::kFull) continue;
    std::size_t i = 0;
    while (i < n && pools_[g]->contains(keys[i])) ++i;
    n = i;
  }
  // For window groups and states the last blocks matter: from the longest candidate down, look at
  // what position n * block_size sees. A missing block b rules out every n that sees it, so the
  // next candidate is b.
  bool again = true;
  while (again && n > 0) {
    again = false;
    for (std::size_t g = 0; g < groups_.size() && !again; ++g) {
      if (!forgets(g)) continue;
      const auto first =
          static_cast<std::size_t>(first_visible(g, static_cast<std::int64_t>(n) * block_size_));
      for (std::size_t b = n; b > first && !again; --b) {
        if (pools_[g]->contains(keys[b - 1])) continue;
        n = b - 1;
        again = true;
      }
    }
  }
  return static_cast<int>(n);
}

int BlockCache::blocks_to_add(std::size_t group, int n_blocks, std::int64_t n_tokens,
                              std::int64_t n_rows) const noexcept {
  int more = std::max(0, blocks_for(n_tokens) - n_blocks);
  if (groups_[group].kind == KvKind::kWindow) {
    more = std::min(more, blocks_for(groups_[group].window + n_rows) + 1);
  }
  // The state that a step reads and the one that it makes.
  if (groups_[group].kind == KvKind::kState) more = std::min(more, 2);
  return more;
}

void BlockCache::add_outstanding(const SequenceBlocks& sequence, std::int64_t n_tokens,
                                 std::int64_t n_rows, std::vector<int>& reserve) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) continue;  // taken as a whole at the beginning
    reserve[g] += blocks_to_add(g, sequence.n_blocks(), n_tokens, n_rows) + 1;
  }
}

bool BlockCache::fits(std::span<const BlockKey> prefix, std::int64_t n_tokens, std::int64_t n_rows,
                      std::span<const int> reserve, std::int64_t n_source) const {
  const int n_prefix = static_cast<int>(prefix.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) {
      const int n = blocks_for(n_source);
      if (n > 0 && n + reserve[g] > pools_[g]->n_free()) return false;
      continue;
    }
    int needed = blocks_to_add(g, n_prefix, n_tokens, n_rows);
    const int first = first_visible(g, std::int64_t{n_prefix} * block_size_);
    for (auto b = static_cast<std::size_t>(first); b < prefix.size(); ++b) {
      bool is_free = false;
      if (pools_[g]->contains(prefix[b], is_free) && is_free) ++needed;
    }
    if (needed + reserve[g] > pools_[g]->n_free()) return false;
  }
  return true;
}

void BlockCache::take_prefix(SequenceBlocks& sequence, std::span<const BlockKey> prefix) {
  sequence.clear();
  prepare(sequence);
  const auto n_past = static_cast<std::int64_t>(prefix.size()) * block_size_;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (is_cross(g)) continue;
    auto& table = sequence.tables_[g];
    table.resize(prefix.size());
    sequence.n_trimmed_[g] = first_visible(g, n_past);
    for (auto b = static_cast<std::size_t>(sequence.n_trimmed_[g]); b < prefix.size(); ++b) {
      table[b] = pools_[g]->find(prefix[b]);
      base::check(static_cast<bool>(table[b]), "kv: a block of the prefix is gone");
    }
  }
}

void BlockCache::check(std::span<const SequenceBlocks* const> sequences) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    std::vector<int> held(static_cast<std::size_t>(pools_[g]->n_total()), 0);
    for (const SequenceBlocks* sequence : sequences) {
      if (sequence->tables_.empty()) continue;
      base::check(is_cross(g) ||
                      sequence->tables_[g].size() == static_cast<std::size_t>(sequence->n_blocks()),
                  "kv: block tables of different lengths");
      for (const BlockRef& block : sequence->tables_[g]) {
        if (block) ++held[static_cast<std::size_t>(block.id())];
      }
    }
    pools_[g]->check(held);
  }
}

}  // namespace openllm::kv

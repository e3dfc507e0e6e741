#include "kv/block_pool.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace openllm::kv {
namespace {

// Conversations that take turns grow while they do: by one block for each that came back in vain
// the target would stay a round behind them.
constexpr int kGrowth = 4;

}  // namespace

BlockPool::BlockPool(int n_blocks, int n_cached_target)
    : sentinel_(n_blocks), n_cached_target_(std::min(n_blocks, n_cached_target)) {
  if (n_blocks < 0 || n_blocks >= INT32_MAX) {
    base::fail(ErrorCode::kInvalidArgument, "kv: number of blocks: out of range (expected 0 to ",
               INT32_MAX - 1, ", got ", n_blocks, ")");
  }
  blocks_.resize(static_cast<std::size_t>(n_blocks) + 1);
  at(sentinel_).previous = sentinel_;
  at(sentinel_).next = sentinel_;
  n_free_ = n_blocks;
  dropped_.resize(std::bit_ceil(static_cast<std::size_t>(n_blocks) + 1));
  index_.reserve(static_cast<std::size_t>(n_blocks));
}

void BlockPool::link_before(std::int32_t id, std::int32_t next) noexcept {
  const std::int32_t previous = at(next).previous;
  at(id).previous = previous;
  at(id).next = next;
  at(previous).next = id;
  at(next).previous = id;
  ++n_free_;
  n_cached_ += at(id).named ? 1 : 0;
}

void BlockPool::unlink(std::int32_t id) noexcept {
  Block& block = at(id);
  at(block.previous).next = block.next;
  at(block.next).previous = block.previous;
  block.previous = block.next = -1;
  --n_free_;
  n_cached_ -= block.named ? 1 : 0;
}

std::int32_t BlockPool::take_free() noexcept {
  const std::int32_t first = at(sentinel_).next;
  const bool has_nameless = first != sentinel_ && !at(first).named;
  const bool may_touch = n_touched_ < n_total();
  if (may_touch && !has_nameless && (first == sentinel_ || n_cached_ < n_cached_target_)) {
    --n_free_;
    return n_touched_++;
  }
  if (first != sentinel_) unlink(first);
  return first;
}

BlockRef BlockPool::allocate() noexcept {
  const std::int32_t id = take_free();
  if (id == sentinel_) return {};
  Block& block = at(id);
  if (block.named) {
    dropped_place(block.key) = block.key;
    index_.erase(block.key);
    block.named = false;
  }
  block.shares = 1;
  return {this, id};
}

BlockRef BlockPool::share(const BlockRef& block) noexcept {
  if (!block) return {};
  ++at(block.id_).shares;
  return {this, block.id_};
}

BlockRef BlockPool::find(const BlockKey& key) noexcept {
  const auto found = index_.find(key);
  if (found == index_.end()) return {};
  Block& block = at(found->second);
  if (block.shares == 0) unlink(found->second);
  ++block.shares;
  return {this, found->second};
}

bool BlockPool::contains(const BlockKey& key, bool& is_free) const noexcept {
  const auto found = index_.find(key);
  if (found == index_.end()) return false;
  is_free = at(found->second).shares == 0;
  return true;
}

void BlockPool::publish(const BlockRef& ref, const BlockKey& key) {
  base::check(ref.pool_ == this, "kv: publishing a block of another pool");
  Block& block = at(ref.id_);
  if (block.named || !index_.try_emplace(key, ref.id_).second) return;
  block.named = true;
  block.key = key;
  if (dropped_place(key) != key) return;
  n_cached_target_ = std::min(n_cached_target_ + kGrowth, n_total());
}

void BlockPool::release(std::int32_t id) noexcept {
  Block& block = at(id);
  if (--block.shares > 0) return;
  // Nameless content can never be of use: give it out first.
  link_before(id, block.named ? sentinel_ : at(sentinel_).next);
}

void BlockPool::check(const std::vector<int>& held) const {
  base::check(held.size() == static_cast<std::size_t>(n_total()),
              "kv: wrong number of blocks in check");
  int n_held = 0;
  int n_cached = 0;
  std::size_t n_named = 0;
  for (std::int32_t id = 0; id < sentinel_; ++id) {
    const Block& block = at(id);
    const int owners = held[static_cast<std::size_t>(id)];
    base::check(block.shares == owners, "kv: block ", id, " has ", block.shares, " shares but ",
                owners, " owners");
    base::check((block.next >= 0) == (block.shares == 0 && id < n_touched_), "kv: block ", id,
                " is both free and held, or neither");
    base::check(id < n_touched_ || (block.shares == 0 && !block.named), "kv: block ", id,
                " is used but not touched");
    n_cached += block.named && block.shares == 0 ? 1 : 0;
    n_held += block.shares > 0 ? 1 : 0;
    n_named += block.named ? 1U : 0U;
    if (!block.named) continue;
    const auto found = index_.find(block.key);
    base::check(found != index_.end() && found->second == id, "kv: block ", id,
                " is not found by its name");
  }
  base::check(n_held + n_free_ == n_total(), "kv: ", n_held, " held and ", n_free_,
              " free blocks of ", n_total());
  base::check(n_named == index_.size(), "kv: ", index_.size(), " names for ", n_named, " blocks");
  int n_linked = 0;
  for (std::int32_t id = at(sentinel_).next; id != sentinel_ && n_linked <= n_total();
       id = at(id).next)
    ++n_linked;
  base::check(n_linked + n_total() - n_touched_ == n_free_, "kv: free list has ", n_linked,
              " blocks, ", n_total() - n_touched_, " are untouched, count says ", n_free_);
  base::check(n_cached == n_cached_, "kv: ", n_cached, " named free blocks, count says ",
              n_cached_);
}

}  // namespace openllm::kv

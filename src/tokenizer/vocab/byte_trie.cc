#include "tokenizer/vocab/byte_trie.h"

#include <algorithm>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

constexpr std::uint32_t kBlock = 256;  // the children of a node lie in one
constexpr std::size_t kMaxTries = 24;  // places that are tried for the children of a node
constexpr std::uint32_t kMaxNodes = 1U << 31U;

}  // namespace

/// Places the nodes of sorted strings, parents before children.
class ByteTrie::Builder {
 public:
  Builder(std::vector<Node>& nodes, const std::vector<Entry>& entries)
      : nodes_(nodes), entries_(entries) {}

  void run() {
    add_block();
    take(kRoot, kRoot);
    // No byte leads back here: the root is nobody's child.
    nodes_[kRoot].parent = kNowhere - 1;
    std::vector<Range> waiting{{0, entries_.size(), 0, kRoot}};
    while (!waiting.empty()) {
      const Range range = waiting.back();
      waiting.pop_back();
      place(range, waiting);
    }
  }

 private:
  /// Strings that share their first `depth` bytes, which lead to `node`.
  struct Range {
    std::size_t begin, end;
    std::size_t depth;
    std::uint32_t node;
  };
  struct Child {
    unsigned char byte;
    std::size_t begin, end;
  };

  void place(Range range, std::vector<Range>& waiting) {
    if (range.begin < range.end && entries_[range.begin].text.size() == range.depth)
      nodes_[range.node].id = entries_[range.begin++].id;
    children_.clear();
    for (std::size_t i = range.begin; i < range.end; ++i) {
      const auto byte = static_cast<unsigned char>(entries_[i].text[range.depth]);
      if (children_.empty() || children_.back().byte != byte) children_.push_back({byte, i, i});
      children_.back().end = i + 1;
    }
    if (children_.empty()) {
      nodes_[range.node].base = 0;
      return;
    }
    const std::uint32_t base = find_base();
    nodes_[range.node].base = base;
    for (const Child& child : children_) {
      const std::uint32_t place = base ^ child.byte;
      take(place, range.node);
      waiting.push_back({child.begin, child.end, range.depth + 1, place});
    }
  }

  std::uint32_t find_base() {
    const unsigned char first = children_[0].byte;
    std::uint32_t free = last_free_;
    for (std::size_t i = 0; i < kMaxTries && free != kNowhere; ++i, free = links_[free].previous) {
      const std::uint32_t base = free ^ first;
      if (std::all_of(children_.begin(), children_.end(), [&](const Child& child) {
            return nodes_[base ^ child.byte].parent == kNowhere;
          }))
        return base;
    }
    return add_block();
  }

  std::uint32_t add_block() {
    const auto begin = static_cast<std::uint32_t>(nodes_.size());
    if (begin > kMaxNodes - kBlock)
      base::fail(ErrorCode::kCorruptData, "tokenizer: the tokens are too long together");
    nodes_.resize(begin + kBlock);
    links_.resize(begin + kBlock);
    for (std::uint32_t i = begin; i < begin + kBlock; ++i) {
      links_[i] = {last_free_, kNowhere};
      if (last_free_ != kNowhere) links_[last_free_].next = i;
      last_free_ = i;
    }
    return begin;
  }

  void take(std::uint32_t place, std::uint32_t parent) {
    nodes_[place].parent = parent;
    const Link link = links_[place];
    if (link.previous != kNowhere) links_[link.previous].next = link.next;
    if (link.next != kNowhere) {
      links_[link.next].previous = link.previous;
    } else {
      last_free_ = link.previous;
    }
  }

  struct Link {
    std::uint32_t previous, next;
  };
  std::vector<Node>& nodes_;
  const std::vector<Entry>& entries_;
  std::vector<Link> links_;  // of the free places
  std::uint32_t last_free_ = kNowhere;
  std::vector<Child> children_;
};

ByteTrie::ByteTrie(std::vector<Entry> entries) {
  for (const Entry& entry : entries) {
    if (entry.text.size() <= kMaxBytes) continue;
    base::fail(ErrorCode::kUnsupported, "tokenizer: token ", entry.id, " is too long (at most ",
               kMaxBytes, " bytes, got ", entry.text.size(), ")");
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.text < b.text; });
  std::vector<Entry> unique;
  unique.reserve(entries.size());
  for (const Entry& entry : entries) {
    if (entry.text.empty()) continue;
    if (!unique.empty() && unique.back().text == entry.text) unique.pop_back();
    unique.push_back(entry);
  }
  Builder(nodes_, unique).run();
  nodes_.shrink_to_fit();
}

}  // namespace openllm::tokenizer

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Byte strings and their ids, looked for where a text goes on: a double array, in which each byte
/// of text costs one look.
class ByteTrie {
 public:
  static constexpr std::size_t kMaxBytes = 1024;  // bounds the work for each byte of text

  struct Entry {
    std::string_view text;
    TokenId id;
  };
  ByteTrie() : ByteTrie(std::vector<Entry>{}) {}
  /// Of equal texts the last one counts; empty ones are left out. Throws kUnsupported for texts of
  /// more than kMaxBytes.
  explicit ByteTrie(std::vector<Entry> entries);

  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNowhere = 0xFFFFFFFF;
  /// The node that `byte` leads to from `node`, or kNowhere.
  std::uint32_t next(std::uint32_t node, char byte) const noexcept {
    const std::uint32_t child = nodes_[node].base ^ static_cast<unsigned char>(byte);
    return nodes_[child].parent == node ? child : kNowhere;
  }
  /// The id of the string that ends at a node; -1 if none does.
  TokenId id_at(std::uint32_t node) const noexcept { return nodes_[node].id; }

  /// Calls `visit(length, id)` for each string that `text` begins with, the shortest first.
  template <typename Visit>
  void for_prefixes(std::string_view text, Visit visit) const {
    std::uint32_t node = kRoot;
    for (std::size_t i = 0; i < text.size(); ++i) {
      node = next(node, text[i]);
      if (node == kNowhere) return;
      if (nodes_[node].id >= 0) visit(i + 1, nodes_[node].id);
    }
  }

  struct Match {
    std::size_t length = 0;
    TokenId id = -1;
  };
  /// The longest string that `text` begins with; of length 0 if there is none.
  Match longest(std::string_view text) const noexcept {
    Match best;
    for_prefixes(text, [&](std::size_t length, TokenId id) { best = {length, id}; });
    return best;
  }

 private:
  struct Node {
    std::uint32_t base = 0;           // its children are at base ^ byte
    std::uint32_t parent = kNowhere;  // kNowhere: free
    TokenId id = -1;
  };
  class Builder;
  std::vector<Node> nodes_;
};

}  // namespace openllm::tokenizer

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace openllm::format {

/// What a pickle describes, as a graph of nodes that refer to each other by number. Nothing of it
/// is ever called: a call stays a node of kind kCall. Text views point into the file.
class Pickle {
 public:
  using Id = std::uint32_t;
  enum class Kind : std::uint8_t {
    kNone,
    kBool,        ///< number
    kInt,         ///< number; beyond 64 bits: `text` has the bytes, least significant first
    kFloat,       ///< real
    kText,        ///< text
    kBytes,       ///< text
    kTuple,       ///< items
    kList,        ///< items
    kDict,        ///< items: key, value, key, value, ...
    kSet,         ///< items
    kGlobal,      ///< text: the module, items[0]: a text, the name in it
    kCall,        ///< items: what is called, its arguments (a tuple)
    kPersistent,  ///< items: the tuple that names it
  };
  struct Node {
    Kind kind = Kind::kNone;
    std::int64_t number = 0;
    double real = 0.0;
    std::string_view text{};
    std::vector<Id> items{};
  };

  /// Reads the pickle that `file` begins with. Throws kCorruptData for what is no pickle, and
  /// kUnsupported naming an operation that state dictionaries do not need, or a global that is not
  /// among `allowed` ("module name"). `path` names the file in errors.
  static Pickle read(const std::string& path, std::span<const std::byte> file,
                     std::span<const std::string_view> allowed);

  const Node& root() const noexcept { return nodes_[root_]; }
  Id n_nodes() const noexcept { return static_cast<Id>(nodes_.size()); }
  const Node& at(Id id) const noexcept { return nodes_[id]; }
  const Node& item(const Node& node, std::size_t i) const noexcept { return nodes_[node.items[i]]; }
  /// The value under a key of a dictionary; null when there is none.
  const Node* find(const Node& dict, std::string_view key) const noexcept;
  /// True when the node is that global.
  bool is_global(const Node& node, std::string_view module, std::string_view name) const noexcept;
  /// Bytes that the pickle took.
  std::size_t size() const noexcept { return size_; }

 private:
  friend class Unpickler;
  std::vector<Node> nodes_{};
  Id root_ = 0;
  std::size_t size_ = 0;
};

}  // namespace openllm::format

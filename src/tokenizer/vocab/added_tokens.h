#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// A token whose occurrences in a text are cut out before the text is normalized and split.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;  ///< Not beside a word character.
  bool lstrip = false;       ///< Takes the white space before it.
  bool rstrip = false;       ///< Takes the white space behind it.
  bool normalized = false;   ///< Looked for in the normalized text.
  bool hidden = false;       ///< Not looked for in texts.
};

/// Splits text at added tokens: leftmost first, the longest of those that start there.
class AddedTokenMatcher {
 public:
  static constexpr std::size_t kMaxContentBytes = 1024;  // bounds the work for each byte of text

  /// `content` is the text to look for: that of the token, maybe normalized. Empty ones and parts
  /// of characters are ignored. Throws kUnsupported for contents that are too long.
  void add(const AddedToken& token, std::string_view content);
  bool empty() const noexcept { return rules_.empty(); }
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }
  /// Whether some token takes all the white space beside it.
  bool takes_blanks() const noexcept { return takes_blanks_; }

  struct Segment {
    std::string_view text;
    std::size_t offset;         ///< Of `text` in the whole.
    std::optional<TokenId> id;  ///< Set if it is an added token.
  };
  /// Calls `visit` with the non-empty segments in order. Without `parse_special` special tokens are
  /// plain text, and so is every token that would lie across one of the `guards` (ascending offsets
  /// in `text`).
  void split(std::string_view text, bool parse_special, std::span<const std::size_t> guards,
             base::FunctionRef<void(const Segment&)> visit) const;

 private:
  struct Rule {
    TokenId id;
    bool special, single_word, lstrip, rstrip;
  };
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> next;  // sorted by byte
    std::int32_t rule = -1;
  };
  const std::uint32_t* find_child(const Node& node, unsigned char byte) const noexcept;
  struct Match {
    std::size_t length;
    const Rule* rule;
  };
  std::optional<Match> longest_at(std::string_view text, std::size_t pos) const noexcept;
  static bool is_single_word(std::string_view text, std::size_t begin, std::size_t end) noexcept;

  std::vector<Rule> rules_;
  std::vector<Node> nodes_{Node{}};
  std::array<bool, 256> starts_{};
  std::size_t longest_bytes_ = 0;
  bool takes_blanks_ = false;
};

}  // namespace openllm::tokenizer

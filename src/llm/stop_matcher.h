#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::llm {

/// Finds stop strings in text that arrives in pieces, and holds back text that may be the beginning
/// of one. Pieces may be hidden: special tokens that the reader does not see. A stop string is
/// found in the text with the hidden pieces as well as in the text without them.
class StopMatcher {
 public:
  /// `include_stop`: the match belongs to the text, hidden parts too. Empty strings are ignored.
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  /// Adds text and returns what can be released. After a match `stopped()` is true and nothing more
  /// comes.
  std::string push(std::string_view piece);
  /// The same for text that is not shown.
  std::string push_hidden(std::string_view piece);
  /// Adds text without looking for stop strings (before min_new_tokens); releases everything.
  std::string push_unchecked(std::string_view piece);
  /// The rest, when the answer ends for another reason.
  std::string flush();
  bool stopped() const noexcept { return stopped_; }
  /// Nothing to look for.
  bool empty() const noexcept { return stops_.empty(); }

 private:
  struct Match {
    std::size_t begin = std::string::npos;
    std::size_t end = 0;
  };
  std::string search();
  /// The first match; of several that begin there, the longest, so that the result does not depend
  /// on the order of the list. Places are those of `held_`.
  Match find_match() const;
  /// Where the longest end of `held_` begins that begins a stop string; its size when none does.
  std::size_t partial_begin() const;
  /// Takes the first bytes off; returns those that are shown.
  std::string take(std::size_t size);

  std::vector<std::string> stops_;
  bool include_stop_;
  bool stopped_ = false;
  std::string held_;
  std::vector<bool> hidden_;  // by byte of held_
  std::size_t n_hidden_ = 0;
};

}  // namespace openllm::llm

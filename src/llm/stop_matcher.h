#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::llm {

/// Finds stop strings in text that arrives in pieces, and holds back text that may be the beginning
/// of one.
class StopMatcher {
 public:
  /// `include_stop`: the match belongs to the text. Empty strings are ignored.
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  /// Adds text and returns what can be released. After a match `stopped()` is true and nothing more
  /// comes.
  std::string push(std::string_view piece);
  /// Adds text without looking for stop strings (before min_new_tokens); releases everything.
  std::string push_unchecked(std::string_view piece);
  /// The rest, when the answer ends for another reason.
  std::string flush();
  bool stopped() const noexcept { return stopped_; }

 private:
  /// Length of the longest end of `held_` that begins a stop string.
  std::size_t partial_length() const noexcept;

  std::vector<std::string> stops_;
  bool include_stop_;
  bool stopped_ = false;
  std::string held_;
};

}  // namespace openllm::llm

#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace openllm::tokenizer {

struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A compiled pattern in the syntax of the Hugging Face library, matched over valid UTF-8 by
/// PCRE2's JIT. Thread safety: const methods from any thread.
class Regex {
 public:
  /// Throws kUnsupported for a pattern that PCRE2 does not take or that is too large.
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// The pattern as it was given.
  const std::string& pattern() const noexcept { return pattern_; }

  /// Finds one match after the other; owns the memory that matching needs.
  class Scanner {
   public:
    Scanner(const Regex& regex, std::string_view text);
    ~Scanner();
    Scanner(const Scanner&) = delete;
    Scanner& operator=(const Scanner&) = delete;

    /// Starts again with another text.
    void reset(std::string_view text) noexcept;
    /// The next match; an empty one never touches the end of the one before. Throws
    /// kResourceExhausted when a match takes too many steps.
    std::optional<ByteRange> next();

   private:
    struct State;
    int match_at(std::size_t offset);
    const Regex* regex_;
    std::string_view text_;
    std::size_t offset_ = 0;
    std::optional<std::size_t> last_end_;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string pattern_;
  std::string where_;
};

}  // namespace openllm::tokenizer

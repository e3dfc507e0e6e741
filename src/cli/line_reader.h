#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::cli {

/// Separates the bytes of a terminal into keys, which are passed on as they are, and pasted text
/// (between the marks of bracketed paste mode) with its line ends and tabs replaced by visible
/// signs, so that a paste of many lines stays one input.
class PasteFilter {
 public:
  /// Adds bytes; returns what can be passed on. An incomplete mark is held back until more arrives
  /// or `flush`.
  std::string push(std::string_view bytes);
  /// Returns the bytes held back, once no more arrive.
  std::string flush();
  bool holds_back() const noexcept { return !held_.empty(); }
  /// Line ends and tabs as the signs that stand for them in one line.
  static std::string in_one_line(std::string_view text);
  /// The signs turned back.
  static std::string restore(std::string_view line);

 private:
  std::string held_;
  bool in_paste_ = false;
  bool after_carriage_return_ = false;
};

/// Reads lines with editing and history. Standard input must be a terminal; the prompt goes to
/// standard error.
class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  struct Line {
    std::string text{};
    bool interrupted = false;  ///< Ctrl-C.
    bool is_untouched = true;  ///< No key but the one that ended it.
    bool end = false;          ///< Ctrl-D, or the terminal is gone.
  };
  Line read(const std::string& prompt);
  /// Adds what was read, which may have several lines, to what the arrow keys bring back.
  void remember(std::string_view text);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::cli

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
  /// The signs turned back into line ends and tabs.
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
  explicit LineReader(std::string prompt);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  struct Line {
    std::string text{};
    bool interrupted = false;  ///< Ctrl-C.
    bool end = false;          ///< Ctrl-D, or the terminal is gone.
  };
  Line read();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::cli

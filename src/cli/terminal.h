#pragma once

#include <openllm/openllm.h>

#include <optional>
#include <stop_token>
#include <string>

namespace openllm::cli {

/// Draws how far loading is on standard error; does nothing when that is not a terminal.
ProgressCallback progress_bar();

/// While it lives, Ctrl-C requests a stop instead of ending the program. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  std::stop_token token() const { return source_.get_token(); }
  bool interrupted() const { return source_.stop_requested(); }

 private:
  std::stop_source source_;
  struct Watcher;
  Watcher* watcher_;
};

/// Blocks SIGINT and SIGTERM in this thread and those it starts, and waits for one of them.
void block_termination_signals();
int wait_for_termination_signal();

bool stdin_is_terminal();
/// Writes to standard output and flushes. A closed pipe ends the program quietly.
void print(std::string_view text);

/// Reads lines with editing and history on a terminal.
class LineReader {
 public:
  explicit LineReader(std::string prompt);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  struct Line {
    std::string text{};
    bool interrupted = false;  ///< Ctrl-C.
    bool end = false;          ///< Ctrl-D or end of input.
  };
  Line read();

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace openllm::cli

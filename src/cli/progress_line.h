#pragma once

#include <openllm/options.h>

#include <memory>
#include <string>
#include <string_view>

namespace openllm::cli {

/// What takes a drawn line of so many columns away again, on a terminal that is `width` columns
/// wide now: the line wraps when the terminal has become narrower.
std::string erase_line(std::size_t columns, int width);
/// "loading weights [####......] 40 %", shorter where the terminal is narrow.
std::string draw_progress(std::string_view stage, double fraction, int width);

/// The progress of loading as the last line of standard error, drawn anew as it changes. Gone when
/// loading is done and when the object goes. Without a terminal nothing is drawn.
/// Thread safety: every method from any thread.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Draws; for LoadOptions::progress. Empty without a terminal. It may outlive this object.
  ProgressCallback callback() const;
  /// Draws this line in place of what was there; empty: nothing. No control characters, narrower
  /// than the terminal. Without a terminal it does nothing.
  void show(const std::string& line) const;
  /// Writes to standard error whole lines, above the progress.
  void note(std::string_view lines) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace openllm::cli

#include "cli/progress_line.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/mutex.h"
#include "cli/terminal.h"

namespace openllm::cli {

std::string erase_line(std::size_t columns, int width) {
  const auto row = static_cast<std::size_t>(std::max(width, 1));
  const std::size_t rows_up = columns == 0 ? 0 : (columns - 1) / row;
  return rows_up == 0 ? "\r\033[K" : base::cat("\r\033[", rows_up, "A\033[J");
}

std::string draw_progress(std::string_view stage, double fraction, int width) {
  const double part = std::clamp(fraction, 0.0, 1.0);  // NaN stays, and is drawn as nothing
  const int percent = std::isnan(part) ? 0 : static_cast<int>(std::lround(part * 100.0));
  // A line that wraps could not be taken back. 10: brackets, spaces and " 100 %".
  const int room = width - static_cast<int>(columns_of(stage)) - 10;
  const auto length = static_cast<std::size_t>(std::clamp(room, 0, 30));
  const auto filled = static_cast<std::size_t>(percent) * length / 100;
  const std::string bar = length == 0 ? ""
                                      : base::cat(stage, " [", std::string(filled, '#'),
                                                  std::string(length - filled, '.'), "] ");
  return base::cat(bar, percent, " %");
}

struct ProgressLine::State {
  base::Mutex mutex;
  std::string shown GUARDED_BY(mutex);  // empty: nothing is on the screen
  bool is_over GUARDED_BY(mutex) = false;

  std::string erased() REQUIRES(mutex) {
    return shown.empty() ? "" : erase_line(columns_of(shown), terminal_width());
  }
  void show(std::string line) {
    const base::MutexLock lock(mutex);
    if (is_over || line == shown) return;
    cli::note(erased() + line);
    shown = std::move(line);
  }
};

ProgressLine::ProgressLine() : state_(std::make_shared<State>()) {}

ProgressLine::~ProgressLine() {
  const base::MutexLock lock(state_->mutex);
  cli::note(state_->erased());
  state_->shown.clear();
  state_->is_over = true;
}

ProgressCallback ProgressLine::callback() const {
  if (!stderr_is_terminal()) return {};
  return [state = state_](const std::string& stage, double fraction) {
    state->show(fraction >= 1.0 ? "" : draw_progress(stage, fraction, terminal_width()));
  };
}

void ProgressLine::show(const std::string& line) const {
  if (stderr_is_terminal()) state_->show(line);
}

void ProgressLine::note(std::string_view lines) const {
  const base::MutexLock lock(state_->mutex);
  cli::note(base::cat(state_->erased(), lines, state_->shown));
}

}  // namespace openllm::cli

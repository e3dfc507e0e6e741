#include "cli/terminal.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <iterator>
#include <memory>

#include "base/error.h"

namespace openllm::cli {

ProgressCallback progress_bar() {
  if (::isatty(STDERR_FILENO) == 0) return {};
  auto shown = std::make_shared<int>(-1);
  return [shown](const std::string& stage, double fraction) {
    const int percent = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * 100.0));
    if (percent == *shown) return;
    *shown = percent;
    constexpr int kWidth = 30;
    const auto filled = static_cast<std::size_t>(percent * kWidth / 100);
    note(base::cat("\r\033[K", stage, " [", std::string(filled, '#'),
                   std::string(kWidth - filled, '.'), "] ", percent, " %",
                   percent == 100 ? "\r\033[K" : ""));
  };
}

void clear_progress_bar() {
  if (::isatty(STDERR_FILENO) != 0) note("\r\033[K");
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) != 0; }

std::string read_stdin() {
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      ::signal(SIGPIPE, SIG_DFL);  // end as programs do that never ignored it
      ::raise(SIGPIPE);
      std::_Exit(128 + SIGPIPE);
    } else if (errno != EINTR) {
      base::fail(ErrorCode::kIo, "standard output: ", std::strerror(errno));
    }
  }
}

void note(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace openllm::cli

#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/error.h"

namespace openllm::cli {
namespace {

/// Another program may have made a stream that it shares with this one non-blocking.
void wait_for(int fd, short event) {
  pollfd entry{fd, event, 0};
  (void)::poll(&entry, 1, -1);
}

}  // namespace

ProgressCallback progress_bar() {
  if (!stderr_is_terminal()) return {};
  auto shown = std::make_shared<std::string>();
  return [shown](const std::string& stage, double fraction) {
    const double part = std::clamp(fraction, 0.0, 1.0);
    const int percent = static_cast<int>(std::lround(part * 100.0));
    // A line that wraps could not be taken back. 10: brackets, spaces and " 100 %".
    const int room = terminal_width() - static_cast<int>(stage.size()) - 10;
    const auto width = static_cast<std::size_t>(std::clamp(room, 0, 30));
    const auto filled = static_cast<std::size_t>(part * static_cast<double>(width));
    const std::string bar = width == 0 ? ""
                                       : base::cat(stage, " [", std::string(filled, '#'),
                                                   std::string(width - filled, '.'), "] ");
    std::string line = base::cat("\r\033[K", bar, percent, " %", percent == 100 ? "\r\033[K" : "");
    if (line == *shown) return;
    note(line);
    *shown = std::move(line);
  };
}

void clear_progress_bar() {
  if (stderr_is_terminal()) note("\r\033[K");
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) != 0; }

bool stderr_is_terminal() {
  const char* kind = std::getenv("TERM");
  const bool knows_sequences = kind != nullptr && *kind != '\0' && std::strcmp(kind, "dumb") != 0;
  return knows_sequences && ::isatty(STDERR_FILENO) != 0;
}

int terminal_width() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string read_stdin() {
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n == 0) break;
    if (n > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      wait_for(STDIN_FILENO, POLLIN);
    } else if (errno != EINTR) {
      base::fail(ErrorCode::kIo, "standard input: ", std::strerror(errno));
    }
  }
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
    } else if (errno == EAGAIN) {
      wait_for(STDOUT_FILENO, POLLOUT);
    } else if (errno != EINTR) {
      base::fail(ErrorCode::kIo, "standard output: ", std::strerror(errno));
    }
  }
}

void print_answer(std::string_view text) {
  if (::isatty(STDOUT_FILENO) != 0) {
    print(without_controls(text));
  } else {
    print(text);
  }
}

std::string without_controls(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F: some terminals obey them, too.
    const bool is_c1 = byte == 0xC2 && i + 1 < text.size() &&
                       static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                       static_cast<unsigned char>(text[i + 1]) <= 0x9F;
    if (byte == '\r') continue;
    if (is_c1 || byte == 0x7F || (byte < 0x20 && byte != '\n' && byte != '\t')) {
      shown += kReplacement;
      i += is_c1 ? 1 : 0;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

void note(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace openllm::cli

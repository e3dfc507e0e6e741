#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::cli {
namespace {

/// Another program may have made a stream that it shares with this one non-blocking. False when
/// nothing happened within the time; -1: none.
bool wait_for(int fd, short event, int timeout_ms = -1) {
  pollfd entry{fd, event, 0};
  return ::poll(&entry, 1, timeout_ms) != 0;
}

/// Closes it.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { ::close(fd_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

 private:
  int fd_;
};

/// All bytes of `fd`, without one line end at the end. `name` names it in errors.
std::string read_all(int fd, const std::string& name) {
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n == 0) break;
    if (n > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
      if (text.size() > kMaxInputBytes) {
        base::fail_at(ErrorCode::kInvalidArgument, name, "too long (expected at most ",
                      kMaxInputBytes, " bytes)");
      }
    } else if (errno == EAGAIN) {
      wait_for(fd, POLLIN);
    } else if (errno != EINTR) {
      base::fail_at(ErrorCode::kIo, name, "cannot be read: ", std::strerror(errno));
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

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

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const int width = ::wcwidth(static_cast<wchar_t>(base::decode_utf8(text, at)));
    columns += width < 0 ? 1 : static_cast<std::size_t>(width);
  }
  return columns;
}

std::string read_stdin() {
  constexpr int kPatienceMs = 3000;
  if (!stdin_is_terminal() && !wait_for(STDIN_FILENO, POLLIN, kPatienceMs))
    note("openllm: reading standard input; `</dev/null` says that there is none\n");
  return read_all(STDIN_FILENO, "standard input");
}

std::string read_text_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    base::fail_at(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, path,
                  "cannot be opened: ", std::strerror(errno));
  }
  const FileDescriptor owner(fd);
  return read_all(fd, path);
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

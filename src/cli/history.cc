#include "cli/history.h"

#include <fcntl.h>
#include <openllm/store.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// An open file, locked against other chats; closing ends both.
class LockedFile {
 public:
  /// Never another user's file through a link, and never a pipe that would block.
  LockedFile(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600)) {
    struct stat info {};
    if (fd_ < 0) return;
    if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && ::flock(fd_, LOCK_EX) == 0 &&
        ::fchmod(fd_, 0600) == 0) {
      return;
    }
    const int reason = S_ISREG(info.st_mode) ? errno : EINVAL;
    ::close(std::exchange(fd_, -1));
    errno = reason;
  }
  ~LockedFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::vector<std::string> read_lines(int fd) {
  std::vector<std::string> lines;
  std::string line;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return lines;  // what follows the last line end was cut short
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(n))) {
      if (c != '\n') {
        if (line.size() <= History::kLongest) line += c;
        continue;
      }
      if (!line.empty() && line.size() <= History::kLongest) lines.push_back(std::move(line));
      line.clear();
    }
  }
}

}  // namespace

History::History(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) read();
}

void History::read() {
  std::error_code ignored;  // opening tells
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  const LockedFile file(path_, O_RDWR | O_CREAT);
  if (file.fd() < 0) return give_up("opened");
  entries_ = read_lines(file.fd());
  if (entries_.size() <= kMost) return;
  entries_.erase(entries_.begin(), entries_.end() - kMost);
  write_newest(file.fd());
}

void History::write_newest(int fd) const {
  std::string text;
  for (const std::string& entry : entries_) text += entry + "\n";
  if (::ftruncate(fd, 0) == 0 && ::lseek(fd, 0, SEEK_SET) == 0) (void)write_all(fd, text);
}

void History::add(const std::string& entry) {
  if (path_.empty() || entry.empty() || entry.size() > kLongest) return;
  const LockedFile file(path_, O_WRONLY | O_CREAT | O_APPEND);
  if (file.fd() < 0 || !write_all(file.fd(), entry + "\n")) give_up("written");
}

void History::give_up(const char* what) {
  note(base::cat("openllm: note: ", path_, " cannot be ", what, " (", std::strerror(errno),
                 "): the lines of this chat are not kept\n"));
  path_.clear();
}

std::string history_path() { return ModelStore().root() + "/history"; }

}  // namespace openllm::cli

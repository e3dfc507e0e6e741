#include "hub/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "hub/file_error.h"

namespace openllm::hub {
namespace {

/// Whether the path still leads to the open file: somebody may have deleted it.
bool is_of(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

void LockFile::open(const std::filesystem::path& path) {
  if (fd_ >= 0) ::close(fd_);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) fail_of_file(path.parent_path(), "make", error.value());
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_of_file(path, "open", errno);
}

bool LockFile::try_lock(const std::filesystem::path& path, int operation) {
  if (::flock(fd_, operation | LOCK_NB) == 0) {
    // Of a deleted file the lock keeps nobody out who makes it anew.
    if (is_of(fd_, path)) return true;
    open(path);
    return false;
  }
  if (errno != EWOULDBLOCK && errno != EINTR) fail_of_file(path, "lock", errno);
  return false;
}

LockFile::LockFile(const std::filesystem::path& path, const std::stop_token& stop, Kind kind,
                   const std::function<void()>& on_wait) {
  const int operation = kind == Kind::kShared ? LOCK_SH : LOCK_EX;
  try {
    open(path);
    bool waits = false;
    // Somebody else may take hours, and flock cannot be told to stop.
    while (!try_lock(path, operation)) {
      if (stop.stop_requested()) base::fail(ErrorCode::kCancelled, "hub: the download was stopped");
      if (!waits && on_wait) on_wait();
      waits = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  } catch (...) {
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::unique_ptr<LockFile> LockFile::take_free(const std::filesystem::path& path) {
  std::unique_ptr<LockFile> lock(new LockFile());
  lock->open(path);
  if (!lock->try_lock(path, LOCK_EX)) lock.reset();
  return lock;
}

bool is_locked(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return !is_free;
}

}  // namespace openllm::hub

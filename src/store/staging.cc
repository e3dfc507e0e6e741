#include "store/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/error.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;

/// A place has its lock file from the moment it exists, locked as long as its owner lives.
constexpr const char* kLockName = "lock";
/// Only what has no lock file (something else's, or half removed) is judged by its age.
constexpr auto kLeftoverAge = std::chrono::minutes(10);

/// Somebody who removes the last thing in a folder removes that too, so one that was made a moment
/// ago may be gone when the next is made in it.
void make_folders(const fs::path& path) {
  std::error_code error;
  for (int attempt = 0; attempt < 16; ++attempt) {
    fs::create_directories(path, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error)
    base::fail_at(ErrorCode::kIo, path.string(), "cannot make the folder: ", error.message());
}

/// The lock file, locked; -1 when it is locked by somebody else or cannot be opened.
int try_lock(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0644);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

/// A hidden place is about to be locked.
bool has_lock(const fs::path& place) {
  std::error_code ignored;
  return !place.filename().string().starts_with('.') && fs::exists(place / kLockName, ignored);
}

/// Where there is no lock file.
bool is_old(const fs::path& place) {
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - fs::last_write_time(place, error);
  return !error && age >= kLeftoverAge;
}

std::string unique_name() {
  static std::atomic<unsigned> counter{
      0};  // distinct within the process; pid and time across processes
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return base::cat(static_cast<std::int64_t>(::getpid()), "-", static_cast<std::int64_t>(now), "-",
                   counter++);
}

}  // namespace

std::vector<fs::path> list_abandoned(const fs::path& root) {
  std::vector<fs::path> places;
  std::error_code error;
  for (auto entry = fs::directory_iterator(root / "tmp", error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!has_lock(entry->path())) {
      if (is_old(entry->path())) places.push_back(entry->path());
      continue;
    }
    const int fd = try_lock(entry->path() / kLockName, 0);
    if (fd < 0) continue;
    places.push_back(entry->path());
    ::close(fd);
  }
  return places;
}

bool remove_abandoned(const fs::path& place) {
  std::error_code error;
  if (!has_lock(place)) return is_old(place) && fs::remove_all(place, error) > 0 && !error;
  const int fd = try_lock(place / kLockName, 0);
  if (fd < 0) return false;
  const bool is_removed = fs::remove_all(place, error) > 0 && !error;
  ::close(fd);
  return is_removed;
}

Staging::Staging(const fs::path& root, Abandoned others) {
  const fs::path parent = root / "tmp";
  make_folders(parent);
  if (others == Abandoned::kRemove) {
    for (const fs::path& place : list_abandoned(root)) remove_abandoned(place);
  }
  place_ = parent / unique_name();
  folder_ = place_ / "model";
  // The lock is taken before the place appears under its name, so that nobody finds it unlocked.
  const fs::path hidden = parent / ("." + place_.filename().string());
  make_folders(hidden);
  lock_ = try_lock(hidden / kLockName, O_CREAT);
  if (lock_ < 0 || ::rename(hidden.c_str(), place_.c_str()) != 0) {
    const int reason = errno;
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    if (lock_ >= 0) ::close(lock_);
    base::fail_at(ErrorCode::kIo, place_.string(),
                  "cannot make the folder: ", std::strerror(reason));
  }
  make_folders(folder_);
}

Staging::~Staging() {
  std::error_code ignored;
  fs::remove_all(place_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

bool Staging::publish(const fs::path& target) {
  // `remove` of the last version deletes empty parents, so they may vanish between the two calls.
  for (int attempt = 0; attempt < 16; ++attempt) {
    make_folders(target.parent_path());
    if (::rename(folder_.c_str(), target.c_str()) == 0) return true;
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return false;
    if (errno != ENOENT) break;
  }
  base::fail_at(ErrorCode::kIo, target.string(),
                "cannot move the model into place: ", std::strerror(errno));
}

bool Staging::take(const fs::path& source) {
  const fs::path grave = place_ / "removed";
  if (::rename(source.c_str(), grave.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  base::fail_at(ErrorCode::kIo, source.string(), "cannot remove: ", std::strerror(errno));
}

}  // namespace openllm::store

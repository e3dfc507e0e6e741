#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/error.h"

namespace openllm::base {
namespace {

class Descriptor {
 public:
  // O_NONBLOCK: opening a named pipe would wait for a writer. Regular files do not care.
  Descriptor(const std::string& path, const std::string& name)
      : fd_(open_unnoticed(path, O_NONBLOCK)) {
    if (fd_ < 0) {
      const auto code = errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
      fail_at(code, name, "cannot open: ", std::strerror(errno));
    }
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const noexcept { return fd_; }
  std::size_t regular_file_size(const std::string& name) const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0)
      fail_at(ErrorCode::kIo, name, "cannot stat: ", std::strerror(errno));
    if (!S_ISREG(info.st_mode)) fail_at(ErrorCode::kInvalidArgument, name, "not a regular file");
    return static_cast<std::size_t>(info.st_size);
  }

 private:
  int fd_;
};

std::int64_t nanoseconds(const timespec& time) noexcept {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileIdentity identity_in(const struct stat& info) noexcept {
  return {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino),
          static_cast<std::uint64_t>(info.st_size), nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim)};
}

/// Reads a byte, by which the system notes the use of a file unless it did so today.
void read_noticed(const std::string& path) noexcept {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  char byte = 0;
  (void)!::read(fd, &byte, 1);
  ::close(fd);
}

}  // namespace

FileIdentity identity_of(const std::string& path) noexcept {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? identity_in(info) : FileIdentity{};
}

FileIdentity identity_of(int descriptor) noexcept {
  struct stat info {};
  return ::fstat(descriptor, &info) == 0 ? identity_in(info) : FileIdentity{};
}

int open_unnoticed(const std::string& path, int more_flags) noexcept {
  const int flags = O_RDONLY | O_CLOEXEC | more_flags;
  const int fd = ::open(path.c_str(), flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? ::open(path.c_str(), flags) : fd;
}

void note_use(const std::string& path) noexcept {
  read_noticed(path);
  constexpr std::int64_t kWeek = std::int64_t{7} * 24 * 3600;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return;
  if (std::max(info.st_atim.tv_sec, info.st_mtim.tv_sec) > ::time(nullptr) - kWeek) return;
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  (void)::utimensat(AT_FDCWD, path.c_str(), static_cast<const timespec*>(times), 0);
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file(path, path);
  size_ = file.regular_file_size(path);
  identity_ = identity_of(file.get());
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) fail_at(ErrorCode::kIo, path, "cannot map: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

void MappedFile::drop_pages(std::span<const std::byte> part) const noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(part.data()) + part.size()) / page * page;
  if (begin >= end) return;
  const std::size_t offset = begin - reinterpret_cast<std::uintptr_t>(part.data());
  ::madvise(const_cast<std::byte*>(part.data()) + offset, end - begin, MADV_DONTNEED);
}

std::string read_file(const std::string& path, std::size_t max_bytes) {
  return read_file(path, max_bytes, path);
}

std::string read_file(const std::string& path, std::size_t max_bytes, const std::string& name) {
  const Descriptor file(path, name);
  const std::size_t size = file.regular_file_size(name);
  if (size > max_bytes) {
    fail_at(ErrorCode::kInvalidArgument, name, "too large (expected at most ", max_bytes,
            " bytes, got ", size, ")");
  }
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.get(), text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_at(ErrorCode::kIo, name, "cannot read: ", std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

}  // namespace openllm::base

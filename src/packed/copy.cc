#include "packed/copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace openllm::packed {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(base::open_unnoticed(path, O_NONBLOCK)) {
    if (fd_ >= 0) return;
    const auto code = errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
    base::fail_at(code, path, "cannot open: ", std::strerror(errno));
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }
  std::size_t file_bytes(const std::string& path) const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0)
      base::fail_at(ErrorCode::kIo, path, "cannot stat: ", std::strerror(errno));
    if (!S_ISREG(info.st_mode)) base::fail_at(ErrorCode::kCorruptData, path, "not a regular file");
    return static_cast<std::size_t>(info.st_size);
  }

 private:
  int fd_;
};

/// A time in the years 2001 to 2033 that follows from the head.
timespec seal_of(const Contents& contents) noexcept {
  const std::uint64_t sum = checksum(std::as_bytes(std::span(contents.block_checksums)));
  timespec time{};
  time.tv_sec = static_cast<time_t>(1'000'000'000 + sum % 1'000'000'000);
  time.tv_nsec = static_cast<long>(sum / 1'000'000'000 % 1'000'000'000);
  return time;
}

/// The first bytes of a file, as many as a head may need.
std::vector<std::byte> read_first(const std::string& path, int descriptor, std::size_t n_bytes) {
  std::vector<std::byte> head(n_bytes);
  std::size_t done = 0;
  while (done < n_bytes) {
    const ssize_t n =
        ::pread(descriptor, head.data() + done, n_bytes - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) base::fail_at(ErrorCode::kIo, path, "cannot read: ", std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  head.resize(done);
  return head;
}

/// A head is at most so large a part of a file, and small in any case.
std::size_t largest_head(std::size_t file_bytes) {
  return std::min(file_bytes, std::size_t{64} << 20U);
}

}  // namespace

bool seal(int descriptor, const Contents& contents) noexcept {
  const timespec times[2] = {{0, UTIME_NOW}, seal_of(contents)};
  return ::futimens(descriptor, static_cast<const timespec*>(times)) == 0;
}

bool is_sealed(int descriptor, const Contents& contents) noexcept {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return false;
  const timespec wanted = seal_of(contents);
  return info.st_mtim.tv_sec == wanted.tv_sec && info.st_mtim.tv_nsec == wanted.tv_nsec;
}

Contents read_contents(const std::string& path) {
  const Descriptor file(path);
  const std::size_t n_bytes = file.file_bytes(path);
  // Most heads are much smaller than a block.
  std::vector<std::byte> head =
      read_first(path, file.get(), std::min(n_bytes, std::size_t{64} << 10U));
  std::uint64_t head_bytes = 0;
  if (head.size() >= 24) std::memcpy(&head_bytes, head.data() + 16, sizeof(head_bytes));
  if (head_bytes > head.size())
    head = read_first(path, file.get(), std::min<std::uint64_t>(head_bytes, largest_head(n_bytes)));
  return read_head(path, head, n_bytes);
}

Copy::Copy(const std::string& path, const Key& name, RunAll run_all) {
  const Descriptor file(path);
  const std::size_t n_bytes = file.file_bytes(path);
  if (n_bytes == 0) base::fail_at(ErrorCode::kCorruptData, path, "empty");
  map(path, file.get(), n_bytes);
  try {
    contents_ = read_head(path, bytes_.first(largest_head(n_bytes)), n_bytes);
    if (contents_.name != name)
      base::fail_at(ErrorCode::kCorruptData, path, "is the copy of something else");
    if (is_sealed(file.get(), contents_)) return;
    check_blocks(path, run_all);
    // Only who may write can seal; a descriptor for reading will do for that.
    (void)seal(file.get(), contents_);
  } catch (...) {
    ::munmap(reserved_, reserved_bytes_);
    throw;
  }
}

Copy::~Copy() { ::munmap(reserved_, reserved_bytes_); }

void Copy::map(const std::string& path, int descriptor, std::size_t n_bytes) {
  reserved_bytes_ = n_bytes + kBlockBytes;
  reserved_ = ::mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved_ == MAP_FAILED)
    base::fail_at(ErrorCode::kResourceExhausted, path, "cannot map: ", std::strerror(errno));
  const auto at = reinterpret_cast<std::uintptr_t>(reserved_);
  auto* const begin = static_cast<std::byte*>(reserved_) + (kBlockBytes - at % kBlockBytes);
  void* const mapped = ::mmap(begin, n_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, descriptor, 0);
  if (mapped == MAP_FAILED) {
    const int reason = errno;
    ::munmap(reserved_, reserved_bytes_);
    base::fail_at(ErrorCode::kIo, path, "cannot map: ", std::strerror(reason));
  }
  ::madvise(begin, n_bytes, MADV_HUGEPAGE);
  bytes_ = {begin, n_bytes};
}

void Copy::check_blocks(const std::string& path, RunAll run_all) const {
  const std::span<const std::byte> data = bytes_.subspan(contents_.head_bytes);
  std::atomic<std::size_t> first_bad{contents_.block_checksums.size()};
  run_all(contents_.block_checksums.size(), [&](std::size_t i) {
    const std::size_t begin = i * kBlockBytes;
    const auto block = data.subspan(begin, std::min(kBlockBytes, data.size() - begin));
    if (checksum(block) == contents_.block_checksums[i]) return;
    std::size_t seen = first_bad.load();
    while (i < seen && !first_bad.compare_exchange_weak(seen, i)) {
    }
  });
  const std::size_t bad = first_bad.load();
  if (bad == contents_.block_checksums.size()) return;
  base::fail_at(ErrorCode::kCorruptData, path, "damaged in the ", kBlockBytes, " bytes from byte ",
                contents_.head_bytes + bad * kBlockBytes, " on");
}

std::span<const std::byte> Copy::find(const Key& key, std::size_t n_bytes) const noexcept {
  const auto found =
      std::lower_bound(contents_.parts.begin(), contents_.parts.end(), key,
                       [](const Part& part, const Key& wanted) { return part.key < wanted; });
  if (found == contents_.parts.end() || found->key != key || found->bytes != n_bytes) return {};
  return bytes_.subspan(found->offset, n_bytes);
}

}  // namespace openllm::packed

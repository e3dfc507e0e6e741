#include "hub/file_digest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "store/sha256.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadSize = std::size_t{1} << 20U;

/// Read, not mapped: a disk that fails is then an error and no signal.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), fd_(base::open_unnoticed(path.string())) {
    if (fd_ < 0) fail();
  }
  ~Reader() {
    if (fd_ >= 0) ::close(fd_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  std::int64_t size() const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail();
    return info.st_size;
  }
  /// 0 at the end.
  std::size_t read(std::vector<char>& buffer) const {
    for (;;) {
      const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) fail();
    }
  }

 private:
  [[noreturn]] void fail() const {
    base::fail(ErrorCode::kIo, path_.string(), ": cannot be read: ", std::strerror(errno));
  }

  const fs::path& path_;
  int fd_;
};

std::string digest_of(const fs::path& path, store::Digest::Kind kind,
                      const std::function<void(std::int64_t)>& on_bytes) {
  const Reader file(path);
  store::Digest digest(kind);
  if (kind == store::Digest::Kind::kSha1) digest.update(base::cat("blob ", file.size()) + '\0');
  std::vector<char> buffer(kReadSize);
  while (const std::size_t n = file.read(buffer)) {
    digest.update(buffer.data(), n);
    if (on_bytes) on_bytes(static_cast<std::int64_t>(n));
  }
  return digest.hex();
}

}  // namespace

std::string sha256_of(const fs::path& path, const std::function<void(std::int64_t)>& on_bytes) {
  return digest_of(path, store::Digest::Kind::kSha256, on_bytes);
}

std::string git_sha1_of(const fs::path& path, const std::function<void(std::int64_t)>& on_bytes) {
  return digest_of(path, store::Digest::Kind::kSha1, on_bytes);
}

}  // namespace openllm::hub

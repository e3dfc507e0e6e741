#include "packed/writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "packed/copy.h"

namespace openllm::packed {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnfinished = ".unfinished";
/// What may wait in memory to be written: much of it would hold up other writers at the end.
constexpr std::uint64_t kSyncBytes = std::uint64_t{64} << 20U;

std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

[[noreturn]] void fail_writing(const std::string& path, const char* what) {
  const int reason = errno;
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  base::fail_at(is_full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, path, what, ": ",
                std::strerror(reason));
}

/// The hidden file; it is locked as long as it is written, and goes unless it was published.
class Unfinished {
 public:
  explicit Unfinished(const std::string& path)
      : path_(path),
        hidden_((fs::path(path).parent_path() /
                 base::cat(".", fs::path(path).filename().string(), kUnfinished))
                    .string()),
        fd_(::open(hidden_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail_writing(hidden_, "cannot make the file");
    is_ours_ = ::flock(fd_, LOCK_EX | LOCK_NB) == 0 && is_named();
    if (is_ours_ && ::ftruncate(fd_, 0) != 0) fail_writing(hidden_, "cannot empty the file");
  }
  ~Unfinished() {
    if (is_ours_) ::unlink(hidden_.c_str());
    ::close(fd_);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  bool is_ours() const noexcept { return is_ours_; }
  int get() const noexcept { return fd_; }
  /// Sets the room aside, where the file system can.
  void reserve(std::uint64_t n_bytes) {
    if (::fallocate(fd_, 0, 0, static_cast<off_t>(n_bytes)) == 0 || errno == EOPNOTSUPP) return;
    fail_writing(hidden_, "cannot take up the room");
  }
  void write(std::span<const std::byte> bytes, std::uint64_t at) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_writing(hidden_, "cannot write");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      at += static_cast<std::uint64_t>(n);
    }
  }
  void sync() {
    if (::fdatasync(fd_) != 0) fail_writing(hidden_, "cannot write");
  }
  void publish(const Contents& contents) {
    if (::fsync(fd_) != 0) fail_writing(hidden_, "cannot write");
    if (!seal(fd_, contents)) fail_writing(hidden_, "cannot set its time");
    if (::rename(hidden_.c_str(), path_.c_str()) != 0) fail_writing(path_, "cannot name the file");
    is_ours_ = false;
    const std::string folder = fs::path(path_).parent_path().string();
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    ::fsync(fd);
    ::close(fd);
  }

 private:
  /// Whether what was opened and locked still has the name: who had it before may have published
  /// or deleted it meanwhile.
  bool is_named() const { return base::identity_of(fd_).inode == base::identity_of(hidden_).inode; }

  std::string path_;
  std::string hidden_;
  int fd_;
  bool is_ours_ = false;
};

/// Gives every part its place, in the order of the parts.
void place(Contents& contents, const std::vector<NewPart>& parts) {
  contents.parts.clear();
  std::uint64_t end = 0;
  for (const NewPart& part : parts) {
    end = round_up(end, kPartAlignment);
    contents.parts.push_back({part.key, end, part.bytes.size()});
    end += part.bytes.size();
  }
  contents.block_checksums.assign(round_up(end, kBlockBytes) / kBlockBytes, 0);
  contents.head_bytes = head_bytes_of(contents);
  contents.file_bytes = contents.head_bytes + end;
  for (Part& part : contents.parts) part.offset += contents.head_bytes;
}

/// The parts one after the other as the blocks of the file.
class Blocks {
 public:
  Blocks(const Contents& contents, const std::vector<NewPart>& parts)
      : contents_(contents), parts_(parts), block_(kBlockBytes) {}

  /// The bytes of the file from `at` on, a block or what is left.
  std::span<const std::byte> next(std::uint64_t at) {
    const std::uint64_t end = std::min<std::uint64_t>(at + kBlockBytes, contents_.file_bytes);
    std::fill(block_.begin(), block_.end(), std::byte{0});
    for (; part_ < parts_.size(); ++part_) {
      const Part& to = contents_.parts[part_];
      const std::uint64_t begin = std::max(at, to.offset);
      const std::uint64_t stop = std::min(end, to.offset + to.bytes);
      if (begin < stop)
        std::memcpy(block_.data() + (begin - at), parts_[part_].bytes.data() + (begin - to.offset),
                    stop - begin);
      if (to.offset + to.bytes > end) break;
    }
    return std::span<const std::byte>(block_).first(end - at);
  }

 private:
  const Contents& contents_;
  const std::vector<NewPart>& parts_;
  std::size_t part_ = 0;
  std::vector<std::byte> block_;
};

}  // namespace

std::uint64_t file_bytes_of(const Contents& contents, const std::vector<NewPart>& parts) {
  Contents placed = contents;
  place(placed, parts);
  return placed.file_bytes;
}

bool write_copy(const std::string& path, Contents contents, const std::vector<NewPart>& parts,
                const std::function<bool()>& may_go_on) {
  Unfinished file(path);
  if (!file.is_ours()) return false;
  // Written in the order in which they are read; listed in that of their keys.
  place(contents, parts);
  file.reserve(contents.file_bytes);
  Blocks blocks(contents, parts);
  std::uint64_t since_sync = 0;
  for (std::uint64_t at = contents.head_bytes; at < contents.file_bytes; at += kBlockBytes) {
    if (!may_go_on()) return false;
    const std::span<const std::byte> block = blocks.next(at);
    contents.block_checksums[(at - contents.head_bytes) / kBlockBytes] = checksum(block);
    file.write(block, at);
    since_sync += block.size();
    if (since_sync >= kSyncBytes) file.sync();
    if (since_sync >= kSyncBytes) since_sync = 0;
  }
  std::sort(contents.parts.begin(), contents.parts.end(),
            [](const Part& a, const Part& b) { return a.key < b.key; });
  file.write(write_head(contents), 0);
  file.publish(contents);
  return true;
}

void remove_unfinished(const std::string& folder) noexcept {
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(kUnfinished)) continue;
    const int fd = ::open(it->path().c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(fd);
  }
}

}  // namespace openllm::packed

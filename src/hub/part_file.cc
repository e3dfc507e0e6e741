#include "hub/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "hub/file_error.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

// Each line of the record has this length, so that one is changed without the others.
constexpr std::size_t kLine = 64;
constexpr std::int64_t kMostParts = 1 << 20U;

int open_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) fail_of_file(path, "open", errno);
  return fd;
}

bool write_all(int fd, std::string_view bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return true;
}

/// The text as a line of that length.
std::string line_of(std::string text) {
  text.resize(kLine - 1, ' ');
  return text + '\n';
}

std::string line_of(const Part& part) {
  return line_of(base::cat(part.begin, " ", part.done, " ", part.end));
}

/// A file of no bytes has one part too.
std::size_t n_parts_of(std::int64_t size, std::int64_t part_size) {
  base::check(size >= 0 && part_size > 0 && size / part_size < kMostParts, "part file: bad size");
  return static_cast<std::size_t>(std::max<std::int64_t>(1, (size + part_size - 1) / part_size));
}

constexpr const char* kPart = "%" PRId64 " %" PRId64 " %" PRId64;

}  // namespace

PartFile::PartFile(const fs::path& target, std::int64_t size, std::int64_t part_size,
                   std::string version)
    : target_(target),
      data_path_(target.string() + ".openllm.incomplete"),
      parts_path_(target.string() + ".openllm.parts"),
      size_(size),
      part_size_(part_size),
      n_parts_(n_parts_of(size, part_size)),
      version_(std::move(version)) {
  try {
    data_ = open_file(data_path_);
    record_ = open_file(parts_path_);
    if (!load()) begin_anew();
  } catch (...) {
    close();
    throw;
  }
}

PartFile::~PartFile() { close(); }

void PartFile::close() noexcept {
  if (data_ >= 0) ::close(data_);
  if (record_ >= 0) ::close(record_);
}

std::string PartFile::head() const {
  // Cut by `line_of` only for sizes that no file has.
  return line_of(base::cat("openllm 2: ", size_, " ", part_size_, " ", n_parts_, " ", version_));
}

bool PartFile::load() {
  const base::MutexLock lock(mutex_);
  const auto n = static_cast<std::int64_t>(n_parts_);
  std::string text((static_cast<std::size_t>(n) + 1) * kLine, '\0');
  const ssize_t n_read = ::pread(record_, text.data(), text.size(), 0);
  if (n_read != static_cast<ssize_t>(text.size())) return false;
  if (!text.starts_with(head())) return false;
  const std::int64_t n_bytes = ::lseek(data_, 0, SEEK_END);
  std::vector<Part> parts;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::string line = text.substr((static_cast<std::size_t>(i) + 1) * kLine, kLine);
    Part part;
    if (std::sscanf(line.c_str(), kPart, &part.begin, &part.done, &part.end) != 3) return false;
    const std::int64_t end = std::min(size_, (i + 1) * part_size_);
    if (part.begin != i * part_size_ || part.end != end || part.done < part.begin ||
        part.done > end)
      return false;
    if (part.done > part.begin && part.done > n_bytes) return false;
    parts.push_back(part);
  }
  parts_ = std::move(parts);
  return true;
}

void PartFile::begin_anew() {
  if (::ftruncate(data_, 0) != 0) fail_of_file(data_path_, "empty", errno);
  if (::ftruncate(record_, 0) != 0) fail_of_file(parts_path_, "empty", errno);
  const base::MutexLock lock(mutex_);
  parts_.clear();
  for (std::int64_t begin = 0; begin == 0 || begin < size_; begin += part_size_)
    parts_.push_back({begin, begin, std::min(size_, begin + part_size_)});
  std::string text = head();
  for (const Part& part : parts_) text += line_of(part);
  if (!write_all(record_, text, 0)) fail_of_file(parts_path_, "write", errno);
}

void PartFile::save(std::size_t index, const Part& part) const {
  const auto offset = static_cast<std::int64_t>((index + 1) * kLine);
  if (!write_all(record_, line_of(part), offset)) fail_of_file(parts_path_, "write", errno);
}

Part PartFile::part(std::size_t index) const {
  const base::MutexLock lock(mutex_);
  return parts_.at(index);
}

std::int64_t PartFile::n_done() const {
  const base::MutexLock lock(mutex_);
  std::int64_t n = 0;
  for (const Part& part : parts_) n += part.done - part.begin;
  return n;
}

std::int64_t PartFile::n_contiguous() const {
  const base::MutexLock lock(mutex_);
  for (const Part& part : parts_) {
    if (part.done < part.end) return part.done;
  }
  return size_;
}

void PartFile::write(std::size_t index, std::string_view bytes) {
  Part part = this->part(index);
  const auto n = static_cast<std::int64_t>(bytes.size());
  if (n > part.end - part.done) {
    base::fail(ErrorCode::kCorruptData, "hub: ", target_.filename().string(),
               ": more bytes than the range has");
  }
  if (!write_all(data_, bytes, part.done)) fail_of_file(data_path_, "write", errno);
  part.done += n;
  save(index, part);
  const base::MutexLock lock(mutex_);
  parts_[index] = part;
}

void PartFile::read(std::int64_t begin, char* out, std::size_t n) const {
  while (n > 0) {
    const ssize_t got = ::pread(data_, out, n, begin);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail_of_file(data_path_, "read", errno);
    out += got;
    begin += got;
    n -= static_cast<std::size_t>(got);
  }
}

void PartFile::clear() { begin_anew(); }

void PartFile::publish() {
  if (::fsync(data_) != 0) fail_of_file(data_path_, "flush", errno);
  if (::rename(data_path_.c_str(), target_.c_str()) != 0) fail_of_file(target_, "create", errno);
  ::unlink(parts_path_.c_str());
}

}  // namespace openllm::hub

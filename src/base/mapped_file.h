#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace openllm::base {

/// What tells one content of a file from another: whoever writes to it, or puts another one in its
/// place, changes some of it. (Its time of change can be set back, that of its entry cannot.)
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t changed_ns = 0;        ///< Its content, since 1970.
  std::int64_t entry_changed_ns = 0;  ///< Its content, its owner, its links ...
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
/// Zeros where there is no such file.
FileIdentity identity_of(const std::string& path) noexcept;
FileIdentity identity_of(int descriptor) noexcept;

/// A file mapped read-only; `note_use` is not implied. Moving keeps the address. Truncating the
/// file while it is mapped is the caller's risk (SIGBUS), as for every program that maps files.
class MappedFile {
 public:
  /// Throws kNotFound, kIo, or kInvalidArgument when it is no regular file, naming the path. An
  /// empty file gives an empty span.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::string& path() const noexcept { return path_; }
  /// When it was mapped.
  const FileIdentity& identity() const noexcept { return identity_; }
  /// Tells the kernel that this part of `bytes()` will not be read again soon (after a device
  /// repacked it). It stays readable.
  void drop_pages(std::span<const std::byte> part) const noexcept;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  FileIdentity identity_{};
};

/// Opens a file for reading without that counting as a use of it (its time of access stays), where
/// its owner does so. A descriptor, or -1 and errno.
int open_unnoticed(const std::string& path, int more_flags = 0) noexcept;
/// Has a file count as used now, to a day; where the system does not keep times of use, to a week.
/// (Keeping it more exactly would change the file's identity.) Does nothing where that is not
/// permitted.
void note_use(const std::string& path) noexcept;

/// The whole file as a string; throws kNotFound, kIo, or kInvalidArgument when it is no regular
/// file or larger than `max_bytes`. Errors name the file by its path.
std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 30U);
/// The same, but errors name the file `name`.
std::string read_file(const std::string& path, std::size_t max_bytes, const std::string& name);

}  // namespace openllm::base

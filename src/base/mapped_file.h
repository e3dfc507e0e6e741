#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace openllm::base {

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
  /// Tells the kernel that this part of `bytes()` will not be read again soon (after a device
  /// repacked it). It stays readable.
  void drop_pages(std::span<const std::byte> part) const noexcept;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Opens a file for reading without that counting as a use of it (its time of access stays), where
/// its owner does so. A descriptor, or -1 and errno.
int open_unnoticed(const std::string& path, int more_flags = 0) noexcept;
/// Has a file count as used now. Does nothing where that is not permitted.
void note_use(const std::string& path) noexcept;

/// The whole file as a string; throws kNotFound, kIo, or kInvalidArgument when it is no regular
/// file or larger than `max_bytes`. Errors name the file by its path.
std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 30U);
/// The same, but errors name the file `name`.
std::string read_file(const std::string& path, std::size_t max_bytes, const std::string& name);

}  // namespace openllm::base

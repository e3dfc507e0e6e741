#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::format {

/// Bytes of an HDF5 file from one place on; whatever is taken is checked against their end.
class Hdf5Bytes {
 public:
  Hdf5Bytes(const std::string& path, std::span<const std::byte> file, std::uint64_t begin,
            std::uint64_t end)
      : path_(&path), file_(file), at_(begin), end_(end) {}
  /// The whole file. `path` must outlive the object and what is made of it.
  Hdf5Bytes(const std::string& path, std::span<const std::byte> file)
      : Hdf5Bytes(path, file, 0, file.size()) {}

  /// `n` bytes at that place of the file, which is checked.
  Hdf5Bytes part(std::uint64_t at, std::uint64_t n) const;
  /// From that place to the end of the file.
  Hdf5Bytes from(std::uint64_t at) const;

  std::uint64_t number(std::size_t n_bytes);
  std::span<const std::byte> take(std::uint64_t n);
  void skip(std::uint64_t n) { take(n); }
  /// Throws unless these bytes come next.
  void expect(std::string_view magic, const char* what);
  /// Text up to a zero byte.
  std::string_view text(std::size_t max_bytes);

  std::uint64_t place() const noexcept { return at_; }
  std::uint64_t left() const noexcept { return end_ - at_; }
  const std::string& path() const noexcept { return *path_; }

 private:
  const std::string* path_;
  std::span<const std::byte> file_;
  std::uint64_t at_;
  std::uint64_t end_;
};

/// A message of an object's header.
struct Hdf5Message {
  unsigned type = 0;
  unsigned flags = 0;
  Hdf5Bytes body;
};

/// The messages of the object at `address`, those of its continuations too.
std::vector<Hdf5Message> read_hdf5_header(const Hdf5Bytes& file, std::uint64_t address);

}  // namespace openllm::format

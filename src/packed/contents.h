#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "packed/hash.h"

// What a packed copy says of itself. All numbers are little endian, of 8 bytes:
//
//   "openllm" 0 | version | bytes of the head | bytes of the file | name (2) | identity of the
//   model's first file (5) | n parts | n blocks | n bytes of the source | n bytes of the variant |
//   parts: key (2), offset, bytes | checksum of each block | source | variant | zeros up to 8 |
//   checksum of all this
//
// The head is padded to a multiple of the block, so that what follows can lie on huge pages. Blocks
// are the rest of the file, cut at its multiples of kBlockBytes.
namespace openllm::packed {

constexpr std::size_t kBlockBytes = std::size_t{2} << 20U;
constexpr std::size_t kPartAlignment = 64;
constexpr std::uint64_t kFileVersion = 1;

/// A matrix in the copy.
struct Part {
  Key key{};
  std::uint64_t offset = 0;  ///< In the file.
  std::uint64_t bytes = 0;
};

struct Contents {
  Key name{};
  base::FileIdentity first_file{};  ///< Of the model's first file.
  std::string source{};             ///< Its path, for people.
  std::string variant{};            ///< With which options and version it was packed.
  std::vector<Part> parts{};        ///< Sorted by key; keys are unique.
  std::vector<std::uint64_t> block_checksums{};
  std::uint64_t head_bytes = 0;
  std::uint64_t file_bytes = 0;
};

/// Bytes of a head, padding included.
std::size_t head_bytes_of(const Contents& contents) noexcept;
/// The head, not padded.
std::vector<std::byte> write_head(const Contents& contents);
/// Reads and checks it: `head` is the file, or its first bytes, of a file of `file_bytes`. Throws
/// kCorruptData, or kUnsupported for another version, with `path`.
Contents read_head(const std::string& path, std::span<const std::byte> head,
                   std::uint64_t file_bytes);

}  // namespace openllm::packed

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"

namespace openllm::format {

/// A name from a file, made fit for an error message: valid UTF-8, no control characters, at most
/// 100 bytes, and "..." where that leaves something out.
std::string printable(std::string_view text);

/// Collects the tensors of one or several files and proves them consistent.
struct TensorList {
  std::vector<NamedTensor> readable;
  std::vector<UnreadableTensor> unreadable;

  /// Sorts both by name; throws kCorruptData on a name that occurs twice.
  void sort_and_check(const std::string& path);
};

/// Where a tensor's bytes lie in a file's data section.
struct Extent {
  std::uint64_t begin;
  std::uint64_t end;
  std::string_view name;
};
/// Sorts the extents by place; throws kCorruptData when two share a byte. Offsets in messages are
/// in the file: `data_begin` is added.
void check_no_overlap(const std::string& path, std::uint64_t data_begin,
                      std::vector<Extent>& extents);

/// True when `part` lies in `whole`.
bool contains(std::span<const std::byte> whole, std::span<const std::byte> part) noexcept;

/// a * b, or false when it does not fit.
bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) noexcept;

/// Product of the dimensions; nullopt unless every product of some of them fits an int64 (so that
/// nobody overflows later, whatever the order and zeros among them).
std::optional<std::uint64_t> count_elems(std::span<const std::uint64_t> dims) noexcept;

}  // namespace openllm::format

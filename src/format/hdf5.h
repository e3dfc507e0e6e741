#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace openllm::format {

/// A dataset of an HDF5 file.
struct Hdf5Dataset {
  std::string path{};  ///< Names of its groups and its own, parted by '/'.
  std::optional<tensor::DType> dtype{};
  std::vector<std::uint64_t> dims{};
  std::span<const std::byte> bytes{};  ///< Fits type and dimensions.
  std::string unreadable{};            ///< Not empty: why there are no type and no bytes.
};

/// Lists the datasets of an HDF5 file, depth first: superblocks 0 to 3, groups of symbol tables or
/// of links in their header, elements in one piece. Attributes and soft links are not read. What
/// else the format has (elements in chunks, dense groups, ...) makes a dataset unreadable, or the
/// file kUnsupported. Throws kCorruptData naming path and byte.
std::vector<Hdf5Dataset> read_hdf5(const std::string& path, std::span<const std::byte> file);

}  // namespace openllm::format

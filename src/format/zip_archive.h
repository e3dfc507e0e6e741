#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace openllm::format {

/// The entries of a zip archive (PKWARE's APPNOTE, with the 64-bit extension) by name. PyTorch
/// compresses nothing, so neither is anything unpacked here: a compressed entry is kUnsupported.
/// Throws kCorruptData naming `path` and byte. Views point into `file`.
std::map<std::string, std::span<const std::byte>> read_zip(const std::string& path,
                                                           std::span<const std::byte> file);

}  // namespace openllm::format

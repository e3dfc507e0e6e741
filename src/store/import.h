#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace openllm::store {

/// One file of a model: where it is now, and its path inside the stored folder.
struct SourceFile {
  std::filesystem::path from;
  std::filesystem::path to;
};

/// What a folder or a .gguf file would bring into the store.
struct Source {
  std::vector<SourceFile> files{};  ///< In order of `to`.
  std::string format{};             ///< "gguf" or "safetensors".
  /// For "gguf" the (first) file to load, relative to the stored folder; empty for "safetensors".
  std::string file{};
};

/// Looks at `path`. A .gguf file brings the other parts of a split model along; a folder all its
/// regular files except hidden ones. Throws kNotFound, or kInvalidArgument when it is no model.
Source inspect(const std::filesystem::path& path);

struct Copied {
  std::int64_t bytes = 0;
  std::string
      sha256{};  ///< Of the only file, or of the list "<sha256>  <path>\n" of all files in order.
};
/// Copies all files below `folder` and makes sure that they reached the disk. Throws kIo.
Copied copy_files(const Source& source, const std::filesystem::path& folder);

/// Writes a small file in one go and flushes it. Throws kIo.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace openllm::store

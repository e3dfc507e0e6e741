#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "openllm/store.h"

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
  std::vector<FileHash> files{};
  std::string sha256{};  ///< As `hash_of_all` gives it.
};
/// Files of a folder as `inspect` takes them, in order. Throws kNotFound for a link to nothing,
/// kInvalidArgument for what is too deep or too much, kIo.
std::vector<SourceFile> list_files(const std::filesystem::path& folder);

/// The SHA-256 of the only file, or of the list "<sha256>  <path>\n" of all files in order.
std::string hash_of_all(const std::vector<FileHash>& files);

/// Copies all files below `folder` and makes sure that they reached the disk. Throws kIo.
Copied copy_files(const Source& source, const std::filesystem::path& folder);

/// SHA-256 of a model where it lies, a folder or a .gguf file: what `copy_files` would give. Reads
/// all of it. Throws as `inspect`, kIo.
std::string hash_model(const std::filesystem::path& path);

/// Writes a small file in one go and flushes it. Throws kIo.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace openllm::store

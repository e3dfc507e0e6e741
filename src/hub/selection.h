#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/reference.h"

namespace openllm::hub {

/// A file of a repository.
struct RemoteFile {
  std::string path{};      ///< Within the repository.
  std::int64_t size = -1;  ///< In bytes; -1: unknown.
  std::string sha256{};    ///< Of files in large-file storage.
  std::string sha1{};      ///< Of git's blob, of the others.

  /// Its name among the blobs of a cache.
  const std::string& etag() const noexcept { return sha256.empty() ? sha1 : sha256; }
};

/// What of a repository makes up a model.
struct Selection {
  std::vector<std::string> files{};  ///< Sorted.
  std::string load{};  ///< The GGUF file to load, of a split the first; empty: the folder.
  /// "safetensors", "gguf", "pytorch", "flax", "tensorflow", "adapter" or "none".
  std::string format{};
};
/// The form of a repository of a LoRA adapter.
inline constexpr std::string_view kAdapterFormat = "adapter";

/// Chooses safetensors before GGUF before PyTorch's pickles, Flax's and TensorFlow's files, and
/// with them the small files that tokenizers, templates and defaults are read from. A variant or a
/// file of the reference chooses among GGUF files; without one Q4_K_M is taken, else the nearest to
/// it. Files split in parts come together. A repository without any of these may be that of a LoRA
/// adapter. `serialisation`: "auto", or one form alone; "none": the small files without weights.
/// Throws kNotFound saying what there is.
Selection select_files(const std::vector<std::string>& paths, const Reference& reference,
                       std::string_view serialisation = "auto");

/// The first files of all GGUF models among `paths`.
std::vector<std::string> gguf_models_of(const std::vector<std::string>& paths);

/// All parts of a split file by the name of one of them ("x-00002-of-00003.gguf"); the name alone
/// when it is not split.
std::vector<std::string> parts_of_split(std::string_view path);

/// The quantisation in the name of a GGUF file, in capitals; empty when it has none.
std::string variant_of(std::string_view path);

}  // namespace openllm::hub

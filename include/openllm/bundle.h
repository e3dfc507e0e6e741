#pragma once

#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// A file of a bundle besides the model's own.
struct BundleFile {
  std::string path{};  ///< Within the folder, for example "bin/openllm".
  std::string from{};  ///< The file to copy; empty: `text` is the content.
  std::string text{};
  bool executable = false;
};

/// What a bundle is made of.
struct BundleContents {
  std::string model{};        ///< Folder or GGUF file; its files go below "model".
  std::string description{};  ///< A JSON object. openllm.json is this and the list of files.
  std::vector<BundleFile> files{};
};

/// Writes a folder that holds a model and what serves it, with `openllm.json`: the description, and
/// each file with size and SHA-256. Large files of the model are hard links where the disk allows
/// it, all others copies. Nothing of the weights is read but for the sums. The folder is put
/// together beside `folder` and renamed, so it appears whole or not at all.
///
/// Throws kInvalidArgument when `folder` exists and is not empty, unless it is a bundle and
/// `overwrite` is set; what is no bundle is never replaced. Throws kIo and kResourceExhausted.
OPENLLM_API void write_bundle(const std::string& folder, const BundleContents& contents,
                              bool overwrite = false);

/// Whether the folder has an openllm.json. `verify_folder` (openllm/store.h) compares its files.
OPENLLM_API bool is_bundle(const std::string& folder);

}  // namespace openllm

#pragma once

#include <string>

#include "openllm/store.h"

namespace openllm::store {

/// Copies the folder or GGUF file at `path` into the store below `root`. `options.name` may have
/// the version. Content that is there already, under the same name and version, stays.
/// Throws kInvalidArgument for other content of that version, unless it may be overwritten.
ImportedModel put(const std::string& root, const ImportOptions& options, const std::string& path);

}  // namespace openllm::store

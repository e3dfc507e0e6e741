#pragma once

#include <vector>

#include "base/mapped_file.h"
#include "format/checkpoint.h"

namespace openllm::format {

/// The files that the bytes of a checkpoint's tensors lie in, mapped; none where they were made.
std::vector<const base::MappedFile*> mapped_files(const Checkpoint& checkpoint);

}  // namespace openllm::format

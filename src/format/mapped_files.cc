#include "format/mapped_files.h"

#include "format/gguf.h"
#include "format/hf_folder.h"

namespace openllm::format {

std::vector<const base::MappedFile*> mapped_files(const Checkpoint& checkpoint) {
  if (const auto* gguf = dynamic_cast<const Gguf*>(&checkpoint)) return gguf->files();
  if (const auto* folder = dynamic_cast<const HfFolder*>(&checkpoint)) return folder->files();
  return {};
}

}  // namespace openllm::format

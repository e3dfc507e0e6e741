#pragma once

#include <cstdint>
#include <filesystem>

namespace openllm::store {

/// What the file system tells of a file, links followed; zeros when it does not.
struct FileTimes {
  std::int64_t bytes = 0;
  std::int64_t changed_ns = 0;  ///< When its content came, since 1970.
  std::int64_t used_ns = 0;     ///< When it was last read (base::note_use), at least the above.
};
FileTimes times_of(const std::filesystem::path& path);

/// The last use of a model: of any file in the folder, or of the file.
std::int64_t last_use_of(const std::filesystem::path& model);
/// Has a model, a folder or a file, count as used now.
void note_use_of(const std::filesystem::path& model);

}  // namespace openllm::store

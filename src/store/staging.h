#pragma once

#include <filesystem>
#include <vector>

namespace openllm::store {

/// Folders in `<root>/tmp` that no living process works in. One without a lock file, which
/// something else made or somebody removed in part, counts once it has been there for ten minutes.
std::vector<std::filesystem::path> list_abandoned(const std::filesystem::path& root);
/// Removes one of them. False when a process works in it, or it is gone.
bool remove_abandoned(const std::filesystem::path& place);

/// A folder of this process below `<root>/tmp` where a model is put together before it is renamed
/// into place. Removed with the object. Folders that crashed processes left behind are removed by
/// the next one.
class Staging {
 public:
  enum class Abandoned { kRemove, kKeep };
  explicit Staging(const std::filesystem::path& root, Abandoned others = Abandoned::kRemove);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Exists and is empty at first.
  const std::filesystem::path& folder() const noexcept { return folder_; }
  /// Renames the folder to `target`, making the folders above it. False when `target` exists
  /// already.
  bool publish(const std::filesystem::path& target);
  /// The opposite: takes `source` out of sight, to be deleted with this object. False when it does
  /// not exist.
  bool take(const std::filesystem::path& source);

 private:
  std::filesystem::path place_;   // <root>/tmp/<unique>, locked while we live
  std::filesystem::path folder_;  // <place>/model
  int lock_ = -1;
};

}  // namespace openllm::store

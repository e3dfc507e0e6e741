#pragma once

#include <filesystem>

namespace openllm::store {

/// A folder of this process below `<root>/tmp` where a model is put together before it is renamed
/// into place. Removed with the object. Folders that crashed processes left behind are removed by
/// the next one.
class Staging {
 public:
  explicit Staging(const std::filesystem::path& root);
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

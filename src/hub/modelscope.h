#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/other_model.h"
#include "hub/reference.h"

namespace openllm::hub {

/// The cache that ModelScope's client keeps on this machine, in the layouts that it has had:
///   - `models/owner--name/snapshots/REVISION/...`, since 2026;
///   - `models/owner/name/...` and `owner/name/...`, at the root or in its folder `hub`, with "___"
///     for each "." of the name, of one revision that the file `.mv` names.
/// Reading only. Folders of half files (`._____temp`) and links beside what they lead to are passed
/// over.
/// Thread safety: every method from any thread.
class ModelScopeCache {
 public:
  explicit ModelScopeCache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const noexcept { return root_; }
  /// Where the client of today keeps a revision.
  std::filesystem::path snapshot_folder(std::string_view repo, std::string_view revision) const;
  /// The model; without a revision that of "master", of "main", or the only one. Nothing when it
  /// is not here, or not whole.
  std::optional<OtherModel> find(const Reference& reference) const;
  /// Sorted by name; of several layouts with the same model the first.
  std::vector<OtherModel> list() const;

 private:
  std::filesystem::path root_;
};

}  // namespace openllm::hub

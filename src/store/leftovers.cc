// ModelStore::leftovers: what no model needs.

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "store/entries.h"
#include "store/staging.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

std::int64_t bytes_below(const fs::path& path) {
  std::int64_t bytes = 0;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(path, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored)) continue;
    const std::uintmax_t size = entry->file_size(ignored);
    if (!ignored) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

bool is_empty_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) && fs::is_empty(path, error) && !error;
}

/// Folders of owners and names that a removal which was cut short left behind.
std::vector<fs::path> empty_folders(const std::string& root) {
  std::vector<fs::path> found;
  const fs::path models = store::models_folder(root);
  for (const std::string& owner : store::subfolders(models)) {
    if (is_empty_folder(models / owner)) found.push_back(models / owner);
    for (const std::string& name : store::subfolders(models / owner)) {
      if (is_empty_folder(models / owner / name)) found.push_back(models / owner / name);
    }
  }
  return found;
}

bool is_below(const fs::path& path, const fs::path& folder) { return path.parent_path() == folder; }

}  // namespace

std::vector<Leftover> ModelStore::leftovers() const {
  std::vector<Leftover> found;
  const auto add = [&](const fs::path& path, std::string reason) {
    found.push_back({path.string(), std::move(reason), bytes_below(path)});
  };
  for (const DamagedModel& model : damaged()) {
    add(store::model_folder(root_, store::parse_name(model.name)) / model.version,
        base::cat(model.name, ":", model.version, " is damaged: ", model.reason));
  }
  for (const fs::path& place : store::list_abandoned(root_))
    add(place, "left behind by a process that ended");
  for (const fs::path& folder : empty_folders(root_)) add(folder, "a folder without a model");
  return found;
}

bool ModelStore::remove_leftover(const Leftover& leftover) const {
  // What was put right since it was listed stays.
  const std::vector<Leftover> now = leftovers();
  const bool is_still_one = std::any_of(
      now.begin(), now.end(), [&](const Leftover& known) { return known.path == leftover.path; });
  if (!is_still_one) return false;
  const fs::path path = leftover.path;
  if (is_below(path, fs::path(root_) / "tmp")) return store::remove_abandoned(path);
  if (!is_empty_folder(path)) {
    // Others in tmp are asked about one by one.
    store::Staging staging(root_, store::Staging::Abandoned::kKeep);
    if (!staging.take(path)) return false;
  }
  // Folders above go when they are empty; never the folder of all models.
  std::error_code ignored;
  const fs::path models = store::models_folder(root_);
  for (fs::path folder = path; folder != models && folder.has_relative_path();
       folder = folder.parent_path())
    fs::remove(folder, ignored);
  return !fs::exists(path, ignored);
}

}  // namespace openllm

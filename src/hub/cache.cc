#include "hub/cache.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "hub/selection.h"
#include "store/file_times.h"
#include "store/hub_cache.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestIndex = std::size_t{64} << 20U;
constexpr int kDeepest = 4;

using store::names_in;

/// Name of each ref, and its commit. Refs may have slashes in their names ("refs/pr/1").
void collect_refs(const fs::path& folder, const std::string& prefix, int depth,
                  std::multimap<std::string, std::string>& names_of) {
  for (const std::string& name : names_in(folder)) {
    std::error_code ignored;
    if (fs::is_directory(folder / name, ignored)) {
      if (depth < kDeepest) collect_refs(folder / name, prefix + name + "/", depth + 1, names_of);
    } else if (const std::string commit = store::read_ref(folder / name); !commit.empty()) {
      names_of.emplace(commit, prefix + name);
    }
  }
}

struct Files {
  std::vector<std::string> paths{};
  std::vector<std::string> broken{};
};

/// Regular files below a snapshot, and links to some; those that lead nowhere are apart.
void collect_files(const fs::path& folder, const std::string& prefix, int depth, Files& files) {
  for (const std::string& name : names_in(folder)) {
    if (name == "._____temp") continue;  // ModelScope's half files
    const fs::path path = folder / name;
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_regular_file(status)) {
      files.paths.push_back(prefix + name);
    } else if (fs::is_symlink(path, error) && !fs::exists(status)) {
      files.broken.push_back(prefix + name);
    } else if (fs::is_directory(status) && !fs::is_symlink(path, error) && depth < kDeepest) {
      collect_files(path, prefix + name + "/", depth + 1, files);
    }
  }
}

Files files_in(const Snapshot& snapshot) {
  Files files;
  collect_files(snapshot.folder, "", 0, files);
  return files;
}

/// Every file that the index of split safetensors or pickles names is there.
bool has_all_parts(const fs::path& folder, const std::vector<std::string>& paths) {
  const std::set<std::string> there(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    if (!path.ends_with(".index.json")) continue;
    try {
      const std::string text = base::read_file((folder / path).string(), kLongestIndex, path);
      const base::Json index = base::Json::parse(text, path);
      const base::Json* map = index.find("weight_map");
      if (map == nullptr) return false;
      for (const auto& [tensor, file] : map->as_object(path)) {
        if (there.count(file.as_string(path)) == 0) return false;
      }
    } catch (const Error&) {
      return false;
    }
  }
  return true;
}

std::optional<CachedModel> model_in(const Snapshot& snapshot, const Files& files,
                                    const Reference& reference) {
  Selection selection;
  try {
    selection = select_files(files.paths, reference);
  } catch (const Error&) {
    return std::nullopt;
  }
  const bool is_folder = selection.load.empty();
  const auto is_config = [&](const std::string& path) {
    return path == (selection.format == kAdapterFormat ? "adapter_config.json" : "config.json");
  };
  if (is_folder && std::none_of(files.paths.begin(), files.paths.end(), is_config))
    return std::nullopt;
  if (is_folder && !has_all_parts(snapshot.folder, selection.files)) return std::nullopt;
  CachedModel model{snapshot, variant_of(selection.load),
                    is_folder ? snapshot.folder : snapshot.folder / selection.load,
                    selection.format};
  for (const std::string& path : is_folder ? files.paths : parts_of_split(selection.load)) {
    const store::FileTimes times = store::times_of(snapshot.folder / path);
    model.bytes += times.bytes;
    model.used_ns = std::max(model.used_ns, times.used_ns);
  }
  return model;
}

/// Size and age, and what is missing.
void describe(Snapshot& snapshot) {
  Files files = files_in(snapshot);
  for (const std::string& path : files.paths) {
    const store::FileTimes times = store::times_of(snapshot.folder / path);
    snapshot.bytes += times.bytes;
    snapshot.changed_ns = std::max(snapshot.changed_ns, times.changed_ns);
  }
  snapshot.broken = std::move(files.broken);
}

}  // namespace

std::string folder_name(std::string_view repo) { return store::repo_folder_name(repo); }

fs::path Cache::repo_folder(std::string_view repo) const { return root_ / folder_name(repo); }

std::optional<std::string> Cache::commit_of(std::string_view repo,
                                            std::string_view revision) const {
  if (!is_repo_name(repo)) return std::nullopt;
  return store::commit_of(repo_folder(repo), revision);
}

std::optional<Snapshot> Cache::snapshot(const Reference& reference) const {
  const std::optional<std::string> repo = store::find_repo(root_, reference.repo);
  const auto commit = repo ? commit_of(*repo, reference.revision) : std::nullopt;
  if (!commit) return std::nullopt;
  Snapshot result{*repo, *commit, {}, repo_folder(*repo) / "snapshots" / *commit};
  std::error_code ignored;
  if (!fs::is_directory(result.folder, ignored)) return std::nullopt;
  describe(result);
  return result;
}

std::optional<CachedModel> Cache::find(const Reference& reference) const {
  const std::optional<Snapshot> found = snapshot(reference);
  if (!found) return std::nullopt;
  return model_in(*found, files_in(*found), reference);
}

std::optional<CachedModel> Cache::find_texts(const Reference& reference) const {
  const std::optional<Snapshot> found = snapshot(reference);
  std::error_code ignored;
  if (!found || !fs::is_regular_file(found->folder / "config.json", ignored)) return std::nullopt;
  return CachedModel{*found, {}, found->folder, "none", found->bytes};
}

std::vector<CachedModel> Cache::models_in(const Snapshot& snapshot) const {
  const Files files = files_in(snapshot);
  Reference reference;
  reference.repo = snapshot.repo;
  std::vector<CachedModel> models;
  const auto add = [&] {
    if (auto model = model_in(snapshot, files, reference)) models.push_back(std::move(*model));
  };
  add();
  if (!models.empty() && models[0].format != "gguf") return models;
  models.clear();
  for (const std::string& file : gguf_models_of(files.paths)) {
    reference.file = file;
    add();
  }
  return models;
}

std::vector<Snapshot> Cache::snapshots() const {
  std::vector<Snapshot> found;
  for (const std::string& folder : names_in(root_)) {
    const std::string repo = store::repo_of_folder(folder);
    if (repo.empty()) continue;
    std::multimap<std::string, std::string> names_of;
    collect_refs(root_ / folder / "refs", "", 0, names_of);
    for (const std::string& commit : store::commits_in(root_ / folder)) {
      Snapshot snapshot{repo, commit, {}, root_ / folder / "snapshots" / commit};
      std::error_code ignored;
      if (!fs::is_directory(snapshot.folder, ignored)) continue;
      describe(snapshot);
      const auto [begin, end] = names_of.equal_range(commit);
      for (auto it = begin; it != end; ++it) snapshot.refs.push_back(it->second);
      found.push_back(std::move(snapshot));
    }
  }
  return found;
}

std::vector<CachedModel> Cache::list() const {
  std::vector<CachedModel> models;
  for (const Snapshot& snapshot : snapshots()) {
    for (CachedModel& model : models_in(snapshot)) models.push_back(std::move(model));
  }
  return models;
}

std::optional<CachedModel> open_model(const Snapshot& snapshot, const Reference& reference) {
  return model_in(snapshot, files_in(snapshot), reference);
}

std::vector<CachedModel> open_models(const Snapshot& snapshot) {
  return Cache({}).models_in(snapshot);
}

}  // namespace openllm::hub

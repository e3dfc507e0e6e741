// What downloads and deletions left in the cache, and models of which a part is there.

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "hub/blob_links.h"
#include "hub/lock_file.h"
#include "hub/upkeep.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;
using Time = std::chrono::file_clock::time_point;

constexpr const char* kOurs = ".openllm.incomplete";
constexpr const char* kRecord = ".openllm.parts";
constexpr const char* kAside = ".openllm-";
/// After this time another program does not go on with a download, and has said nothing of it.
constexpr std::chrono::hours kOld{24};

/// Of the file or link itself. Of one with holes, as downloads have them, what is taken up.
std::int64_t bytes_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return std::min<std::int64_t>(info.st_size, std::int64_t{512} * info.st_blocks);
}

std::vector<fs::path> repo_folders(const fs::path& root) {
  std::vector<fs::path> folders;
  for (const std::string& name : store::names_in(root)) {
    if (!store::repo_of_folder(name).empty()) folders.push_back(root / name);
  }
  return folders;
}

/// What is in one repository.
class Finder {
 public:
  Finder(const fs::path& cache, const fs::path& folder, Time now)
      : cache_(cache), folder_(folder), now_(now) {}

  std::vector<Leftover> find() {
    const fs::path snapshots = folder_ / "snapshots";
    const std::set<std::string> linked = linked_blobs(snapshots);
    std::error_code error;
    for (auto it = fs::directory_iterator(folder_ / "blobs", error);
         !error && it != fs::directory_iterator(); it.increment(error))
      add_blob(it->path(), linked);
    for_each_entry(snapshots, [&](const fs::path& path) {
      std::error_code ignored;
      const fs::path inside = path.lexically_relative(snapshots);
      if (inside.begin()->string().find(kAside) != std::string::npos) return;
      if (path.filename().string().find(kAside) != std::string::npos) {
        add(path, "left behind by a process that ended");
      } else if (fs::is_symlink(path, ignored) && !fs::exists(path, ignored)) {
        add(path, "a link that leads to no file");
      }
    });
    for (auto it = fs::directory_iterator(snapshots, error);
         !error && it != fs::directory_iterator(); it.increment(error)) {
      if (it->path().filename().string().find(kAside) != std::string::npos)
        add(it->path(), "left behind by a process that ended");
    }
    return std::move(found_);
  }

 private:
  void add(const fs::path& path, const char* reason) {
    found_.push_back({path.string(), reason, bytes_of(path)});
  }

  void add_blob(const fs::path& path, const std::set<std::string>& linked) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (linked.count(name) > 0 || fs::is_directory(fs::symlink_status(path, ignored))) return;
    if (is_locked(lock_of_blob(cache_, folder_, name.substr(0, name.find('.'))))) return;
    if (name.ends_with(kOurs)) return add(path, "part of a file, of a download that was cut");
    if (name.ends_with(kRecord)) {
      fs::path data = path;
      data.replace_extension(".incomplete");  // goes with it
      if (!fs::exists(data, ignored)) add(path, "left behind by a download that was cut");
      return;
    }
    if (!name.ends_with(".incomplete")) return add(path, "no model here needs it");
    const Time changed = fs::last_write_time(path, ignored);
    if (!ignored && now_ - changed > kOld) add(path, "part of a file, more than a day old");
  }

  const fs::path& cache_;
  const fs::path& folder_;
  Time now_;
  std::vector<Leftover> found_{};
};

std::vector<Leftover> leftovers_in(const fs::path& cache, const fs::path& folder, Time now) {
  if (!linked_folder(folder).empty()) return {};
  return Finder(cache, folder, now).find();
}

bool has(const std::vector<Leftover>& list, const fs::path& path) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Leftover& known) { return known.path == path; });
}

/// With the record of a download.
void remove_path(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(path, error))) {
    fs::remove_all(path, error);
    if (error)
      base::fail(ErrorCode::kIo, "hub: ", path.string(), ": cannot remove: ", error.message());
    return;
  }
  remove_file(path);
  const std::string name = path.string();
  if (name.ends_with(kOurs))
    remove_file(name.substr(0, name.size() - std::string_view(kOurs).size()) + kRecord);
}

/// Folders from `folder` up to `top`, as far as they have become empty.
void remove_empty(fs::path folder, const fs::path& top) {
  std::error_code error;
  for (; folder != top && folder.has_relative_path(); folder = folder.parent_path()) {
    if (!fs::remove(folder, error) || error) return;
  }
}

}  // namespace

std::vector<Leftover> leftovers(const Cache& cache, Time now) {
  std::vector<Leftover> found;
  for (const fs::path& folder : repo_folders(cache.root())) {
    if (is_locked(lock_of_repo(cache.root(), folder))) continue;
    for (Leftover& leftover : leftovers_in(cache.root(), folder, now))
      found.push_back(std::move(leftover));
  }
  std::sort(found.begin(), found.end(),
            [](const Leftover& a, const Leftover& b) { return a.path < b.path; });
  return found;
}

bool remove_leftover(const Cache& cache, const fs::path& path) {
  for (const fs::path& folder : repo_folders(cache.root())) {
    const fs::path inside = path.lexically_relative(folder);
    if (inside.empty() || *inside.begin() == "..") continue;
    const auto lock = LockFile::take_free(lock_of_repo(cache.root(), folder));
    // What somebody has linked to since it was listed stays.
    if (!lock || !has(leftovers_in(cache.root(), folder, std::chrono::file_clock::now()), path))
      return false;
    remove_path(path);
    remove_empty(path.parent_path(), folder);
    for (const char* part : {"blobs", "snapshots", "refs"}) remove_empty(folder / part, folder);
    remove_empty(folder, cache.root());
    return true;
  }
  return false;
}

std::vector<Leftover> url_leftovers(const fs::path& downloads) {
  std::vector<Leftover> found;
  for (const std::string& name : store::names_in(downloads)) {
    const fs::path folder = downloads / name;
    std::error_code ignored;
    const bool is_folder = fs::is_directory(fs::symlink_status(folder, ignored));
    if (!is_folder || is_locked(folder.string() + ".lock")) continue;
    for (const std::string& file : store::names_in(folder)) {
      if (!file.ends_with(".part") && !file.ends_with(kOurs)) continue;
      found.push_back({(folder / file).string(), "part of a file, of a download that was cut",
                       bytes_of(folder / file)});
    }
  }
  return found;
}

bool remove_url_leftover(const fs::path& downloads, const fs::path& path) {
  if (!has(url_leftovers(downloads), path)) return false;
  const auto lock = LockFile::take_free(path.parent_path().string() + ".lock");
  if (!lock) return false;
  remove_path(path);
  remove_empty(path.parent_path(), downloads);
  return true;
}

std::vector<PartialModel> partial_models(const Cache& cache) {
  std::vector<PartialModel> partial;
  for (const fs::path& folder : repo_folders(cache.root())) {
    PartialModel model{store::repo_of_folder(folder.filename().string())};
    for (const std::string& name : store::names_in(folder / "blobs")) {
      if (!name.ends_with(".incomplete")) continue;
      const std::string etag = name.substr(0, name.find('.'));
      const bool goes_on = is_locked(lock_of_blob(cache.root(), folder, etag));
      if (goes_on || model.reason.empty())
        model.reason = goes_on ? "is being downloaded" : "its download was cut";
      model.bytes += bytes_of(folder / "blobs" / name);
    }
    if (!model.reason.empty()) partial.push_back(std::move(model));
  }
  for (const Snapshot& snapshot : cache.snapshots()) {
    if (!cache.models_in(snapshot).empty()) continue;
    const std::string reason = snapshot.broken.empty()
                                   ? "lacks weights, or a part of them, or config.json"
                                   : base::cat("lacks ", snapshot.broken.front());
    partial.push_back({snapshot.repo, snapshot.commit, reason, snapshot.bytes});
  }
  std::sort(partial.begin(), partial.end(), [](const PartialModel& a, const PartialModel& b) {
    return std::tie(a.id, a.commit) < std::tie(b.id, b.commit);
  });
  return partial;
}

}  // namespace openllm::hub

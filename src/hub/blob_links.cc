#include "hub/blob_links.h"

#include "base/error.h"

namespace openllm::hub {

namespace fs = std::filesystem;

std::string blob_name(const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (error || target.parent_path().filename() != "blobs") return {};
  std::string name = target.filename().string();
  return name == "." || name == ".." ? std::string() : name;
}

std::set<std::string> linked_blobs(const fs::path& snapshots, const std::set<fs::path>& without) {
  std::set<std::string> names;
  for_each_entry(snapshots, [&](const fs::path& path) {
    for (fs::path above = path; above != snapshots && above.has_relative_path();
         above = above.parent_path()) {
      if (without.count(above) > 0) return;
    }
    if (std::string name = blob_name(path); !name.empty()) names.insert(std::move(name));
  });
  return names;
}

fs::path linked_folder(const fs::path& repo_folder) {
  for (const fs::path& folder :
       {repo_folder, repo_folder / "blobs", repo_folder / "snapshots", repo_folder / "refs"}) {
    std::error_code ignored;
    if (fs::is_symlink(folder, ignored)) return folder;
  }
  return {};
}

fs::path lock_of_blob(const fs::path& cache, const fs::path& repo_folder, const std::string& etag) {
  return cache / ".locks" / repo_folder.filename() / (etag + ".lock");
}

fs::path lock_of_repo(const fs::path& cache, const fs::path& repo_folder) {
  return cache / ".locks" / repo_folder.filename() / "openllm.lock";
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error)
    base::fail(ErrorCode::kIo, "hub: ", path.string(), ": cannot remove: ", error.message());
}

}  // namespace openllm::hub

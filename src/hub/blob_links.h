#pragma once

#include <filesystem>
#include <set>
#include <string>

// Links of snapshots to blobs. Links are read and never followed to a folder.
namespace openllm::hub {

/// Calls `visit` with the path of everything below a folder that is no folder.
template <typename Visit>
void for_each_entry(const std::filesystem::path& folder, const Visit& visit) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored) || it->is_symlink(ignored)) visit(it->path());
  }
}

/// The name of the blob that a file of a snapshot links to; empty for others.
std::string blob_name(const std::filesystem::path& path);

/// Blobs that anything below `snapshots` links to, but what is below `without` or is one of it.
std::set<std::string> linked_blobs(const std::filesystem::path& snapshots,
                                   const std::set<std::filesystem::path>& without = {});

/// The first of a repository's folder and those in it that is a link. What is behind it belongs to
/// somebody else. Empty: none.
std::filesystem::path linked_folder(const std::filesystem::path& repo_folder);

/// Below the cache's `.locks`: of one blob, as huggingface_hub has it, and of a repository, which
/// downloads share and deleting has alone.
std::filesystem::path lock_of_blob(const std::filesystem::path& cache,
                                   const std::filesystem::path& repo_folder,
                                   const std::string& etag);
std::filesystem::path lock_of_repo(const std::filesystem::path& cache,
                                   const std::filesystem::path& repo_folder);

/// Throws kIo.
void remove_file(const std::filesystem::path& path);

}  // namespace openllm::hub

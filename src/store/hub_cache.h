#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The layout of the cache that huggingface_hub keeps: `models--owner--name/{blobs,refs,
// snapshots/<commit>}`. Nothing here writes to it. The layer `hub` has what is in a snapshot.
namespace openllm::store {

/// What the environment says about where huggingface_hub keeps what it has; empty when no variable
/// does.
/// $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface.
std::filesystem::path hub_home();
/// $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else `hub` in the above.
std::filesystem::path hub_cache();

/// A name that a hub can have: one or two parts of letters, digits, "-", "_", ".", at most 96
/// characters, no part begins or ends with "-" or ".", no "--" and no "..".
bool is_repo_name(std::string_view text) noexcept;
/// A revision or file that leads nowhere else: parts between slashes, none empty, "." or "..".
bool is_safe_path(std::string_view text) noexcept;

constexpr std::size_t kCommitDigits = 40;
/// Hexadecimal digits in lower case.
bool is_hex(std::string_view text) noexcept;

/// "models--owner--name".
std::string repo_folder_name(std::string_view repo);
/// "owner/name" of "models--owner--name"; empty for other folders.
std::string repo_of_folder(std::string folder);
/// The repository of this name that the cache has snapshots of, in the cache's own spelling: that
/// of exactly this name, else the one that differs in letter case only. Nothing when there is none.
/// Throws kInvalidArgument naming all when there are several.
std::optional<std::string> find_repo(const std::filesystem::path& cache, const std::string& repo);

/// The commit that a file below refs names; empty when it names none.
std::string read_ref(const std::filesystem::path& path);
/// Names of what lies in a folder but what a process that was killed left there on its way to
/// another name, sorted; none when it cannot be read.
std::vector<std::string> names_in(const std::filesystem::path& folder);
/// Commits that a repository has snapshots of, whole or not, sorted.
std::vector<std::string> commits_in(const std::filesystem::path& repo_folder);
/// The commit of a branch, tag, commit, or of its first seven or more digits; nothing if it is not
/// here. Without a revision that of the main branch, else the only one.
std::optional<std::string> commit_of(const std::filesystem::path& repo_folder,
                                     std::string_view revision);

/// The files of one commit of a repository of the Hub.
struct HubSnapshot {
  std::string id{};  ///< "owner/name"
  std::string commit{};
  std::filesystem::path folder{};
};
/// The snapshot that `path` is, or the one of `revision` if `path` is the folder of a repository.
/// Nothing for other folders. Throws kNotFound when the repository does not have that revision
/// here.
std::optional<HubSnapshot> open_snapshot(const std::filesystem::path& path,
                                         const std::string& revision);
/// The same for the repository "owner/name" in `hub_cache()`. Nothing when it is not there.
std::optional<HubSnapshot> find_snapshot(const std::string& id, const std::string& revision);

}  // namespace openllm::store

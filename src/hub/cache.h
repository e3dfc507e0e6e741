#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/reference.h"

namespace openllm::hub {

/// A revision of a repository, as far as it is in the cache.
struct Snapshot {
  std::string repo{};
  std::string commit{};
  std::vector<std::string> refs{};    ///< Names of this commit: "main".
  std::filesystem::path folder{};     ///< <cache>/models--owner--name/snapshots/<commit>.
  std::int64_t bytes = 0;             ///< Of the files, links followed.
  std::int64_t changed_ns = 0;        ///< When the newest of them came, since 1970.
  std::vector<std::string> broken{};  ///< Links that lead to no file, by their names in it.
};

/// A model in a snapshot: a folder, or one of its GGUF files.
struct CachedModel {
  Snapshot snapshot{};
  std::string variant{};         ///< Of a GGUF file, in capitals.
  std::filesystem::path path{};  ///< What to load.
  std::string format{};          ///< "safetensors", "gguf", "pytorch", "flax" or "tensorflow".
  std::int64_t bytes = 0;        ///< Of what is loaded: all of a folder, or all parts of a file.
  std::int64_t used_ns = 0;      ///< When one of those was last used or came, since 1970.
};

/// The cache that huggingface_hub, and what is built on it, keeps on this machine:
/// `models--owner--name/{refs,snapshots,blobs}` (store/hub_cache.h). Reading only, by nobody's
/// leave: what changes meanwhile is skipped. Nothing in it is trusted to stay inside of it but
/// links to blobs. Thread safety: every method from any thread.
class Cache {
 public:
  explicit Cache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const noexcept { return root_; }
  std::filesystem::path repo_folder(std::string_view repo) const;

  /// As store::commit_of.
  std::optional<std::string> commit_of(std::string_view repo, std::string_view revision) const;
  /// The snapshot that a reference means, whole or not. Without a revision the main branch, and
  /// where the cache does not know that, the only commit there is. A repository of exactly that
  /// name, else one that differs in letter case only; throws kInvalidArgument for several.
  std::optional<Snapshot> snapshot(const Reference& reference) const;
  /// The model in it; nothing when it has none, or not all of its files.
  std::optional<CachedModel> find(const Reference& reference) const;
  /// What there is of it besides weights; nothing without a config.json.
  std::optional<CachedModel> find_texts(const Reference& reference) const;
  /// All models of a snapshot: each of its GGUF files, or the one in its other files.
  std::vector<CachedModel> models_in(const Snapshot& snapshot) const;
  /// All snapshots, whole or not, sorted by repository.
  std::vector<Snapshot> snapshots() const;
  /// All models, sorted by repository; of several snapshots of one each.
  std::vector<CachedModel> list() const;

 private:
  std::filesystem::path root_;
};

/// The model in a folder that is not of this cache, by the same rules; nothing when it has none, or
/// not all of its files. Of `snapshot` only `repo` and `folder` count.
std::optional<CachedModel> open_model(const Snapshot& snapshot, const Reference& reference);
/// Each of its GGUF models, or the one in its other files.
std::vector<CachedModel> open_models(const Snapshot& snapshot);

/// "models--owner--name".
std::string folder_name(std::string_view repo);

}  // namespace openllm::hub

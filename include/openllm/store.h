#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "openllm/options.h"

namespace openllm {

/// A model in the store.
struct StoredModel {
  std::string name{};  ///< For example "HuggingFaceTB/SmolLM2-135M-Instruct".
  /// Revision; the first 12 characters of the content hash when nothing else is known.
  std::string version{};
  std::string path{};    ///< Folder or .gguf file to load.
  std::string format{};  ///< "gguf" or "safetensors".
  std::int64_t bytes = 0;
  /// Of its only file; of several, of the list "<sha256>  <path>\n" of all files in order.
  std::string sha256{};
  /// "store": copied into it; else who keeps it (HubModel::origin, openllm/hub.h), and it is used
  /// there: "hub" is the Hugging Face cache, "url" what was fetched from an address.
  std::string origin = "store";
  /// When it was last loaded or came, since 1970, as the file system tells it.
  std::int64_t used_ns = 0;
};

/// An entry of the store that cannot be used: incomplete, or changed by hand.
struct DamagedModel {
  std::string name{};
  std::string version{};
  std::string reason{};  ///< For example "model.json: cannot open: No such file or directory".
};

/// A file, and what it has to hold.
struct FileHash {
  std::string path{};  ///< Relative to the folder.
  std::int64_t bytes = 0;
  std::string sha256{};  ///< 64 hexadecimal digits.
};

/// A file that is not what it has to be.
struct FileProblem {
  std::string path{};    ///< Relative to the folder.
  std::string reason{};  ///< For example "missing".
};

/// Reads the files of the list below `folder` and compares them. Further files there that are not
/// hidden are problems too, but for those that `besides` names. Throws kCorruptData for a path that
/// leads out of the folder, kCancelled for an exception from `progress`.
OPENLLM_API std::vector<FileProblem> verify_files(const std::string& folder,
                                                  const std::vector<FileHash>& files,
                                                  const std::vector<std::string>& besides = {},
                                                  const ProgressCallback& progress = {});
/// The same with the list `files` (objects with `path`, `bytes`, `sha256`) of the folder's
/// openllm.json, or of its model.json, as the store writes it. Throws kNotFound when there is
/// neither.
OPENLLM_API std::vector<FileProblem> verify_folder(const std::string& folder,
                                                   const ProgressCallback& progress = {});

/// How `ModelStore::import_model` names what it brings, and what it may replace.
struct ImportOptions {
  /// Empty: that of the Hub, or the last part of the path.
  std::string name{};
  /// Empty: the commit of the Hub, or the first 12 characters of the content hash. Of a model in
  /// the Hugging Face cache, the branch, tag or commit to take.
  std::string version{};
  bool overwrite = false;  ///< Replace a version of other content.
  /// Called with the folder or file before it is copied; what it throws ends the import.
  std::function<void(const std::string& path)> check{};
};

struct ImportedModel {
  enum class State { kAdded, kExists, kOverwritten };
  State state = State::kAdded;
  StoredModel model{};
};

/// Something below the store's root that no model needs.
struct Leftover {
  std::string path{};
  std::string reason{};
  std::int64_t bytes = 0;
};

/// Models on this machine, as plain files: `<root>/models/<owner>/<name>/<version>/...` with a
/// small `model.json` beside them. `<root>` is $OPENLLM_HOME, else $XDG_CACHE_HOME/openllm, else
/// ~/.cache/openllm. A model appears whole or not at all.
/// Thread safety: every method from any thread, and from several processes at once.
class OPENLLM_API ModelStore {
 public:
  ModelStore();
  explicit ModelStore(std::string root);

  const std::string& root() const noexcept { return root_; }
  /// What can be used.
  std::vector<StoredModel> list() const;
  /// What cannot. `add` puts such entries right, `remove` deletes them.
  std::vector<DamagedModel> damaged() const;
  /// `name` or `name:version`, or a tag as LLM::tag gives it (`native-owner--name:version`). Letter
  /// case of the name matters only where exactly this name is one of several; of several versions
  /// the newest. Throws kInvalidArgument naming all when it may mean several; kCorruptData when
  /// what was meant is damaged.
  std::optional<StoredModel> find(const std::string& name) const;
  /// The name in the store that somebody may have meant by one that is not; nothing when none is
  /// near.
  std::optional<std::string> nearest(const std::string& name) const;
  /// Copies a folder or a .gguf file into the store. The version may stand in the name instead.
  StoredModel add(const std::string& name, const std::string& path,
                  const std::string& version = {}) const;
  /// `add` for what lies on this machine: a path; else a model that the store has already; else one
  /// that the Hugging Face cache has (HubOptions::cache in openllm/hub.h says where that is when it
  /// is empty); else a folder. A path may be
  /// a folder of that cache (`models--owner--name`, or a snapshot in it). `version` may stand in
  /// the name of a model instead. Throws kNotFound (kModelNotFound) for a model that is nowhere.
  ImportedModel import_model(const std::string& model, const ImportOptions& options = {}) const;
  /// Reads all files of a model and compares them with what was added. What was added before each
  /// file had a hash of its own is compared as a whole. Throws kNotFound, or what `find` throws.
  std::vector<FileProblem> verify(const std::string& name,
                                  const ProgressCallback& progress = {}) const;
  /// Damaged entries, folders without a model, and what processes that were ended left in `tmp`.
  std::vector<Leftover> leftovers() const;
  /// Deletes one of them. False when it is gone, or in use again.
  bool remove_leftover(const Leftover& leftover) const;
  /// False when there is no such model. Without a version, all versions go.
  bool remove(const std::string& name) const;

 private:
  std::string root_;
};

}  // namespace openllm

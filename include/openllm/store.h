#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// A model in the store.
struct StoredModel {
  std::string name{};  ///< For example "HuggingFaceTB/SmolLM2-135M-Instruct".
  /// Revision; the first 12 characters of the content hash when nothing else is known.
  std::string version{};
  std::string path{};    ///< Folder or .gguf file to load.
  std::string format{};  ///< "gguf" or "safetensors".
  std::int64_t bytes = 0;
};

/// An entry of the store that cannot be used: incomplete, or changed by hand.
struct DamagedModel {
  std::string name{};
  std::string version{};
  std::string reason{};  ///< For example "model.json: cannot open: No such file or directory".
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
  /// case of the name does not matter; of several versions the newest. Throws kCorruptData when
  /// what was meant is damaged.
  std::optional<StoredModel> find(const std::string& name) const;
  /// The name in the store that somebody may have meant by one that is not; nothing when none is
  /// near.
  std::optional<std::string> nearest(const std::string& name) const;
  /// Copies a folder or a .gguf file into the store. The version may stand in the name instead.
  StoredModel add(const std::string& name, const std::string& path,
                  const std::string& version = {}) const;
  /// False when there is no such model. Without a version, all versions go.
  bool remove(const std::string& name) const;

 private:
  std::string root_;
};

}  // namespace openllm

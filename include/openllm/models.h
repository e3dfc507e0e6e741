#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/store.h"

namespace openllm {

/// All models on this machine that a name stands for, whatever keeps them: the store, the Hugging
/// Face cache, downloads from addresses. By name, letter case ignored. A .gguf file in the cache is
/// named with its variant ("owner/name:Q4_K_M").
OPENLLM_API std::vector<StoredModel> list_models();

/// What the store or the Hugging Face cache has of a name, as an LLM of it would find it: exactly
/// that name in either, else the one that differs in letter case only. Nothing for paths. Throws
/// kInvalidArgument naming both when there are two; kCorruptData as ModelStore::find.
OPENLLM_API std::optional<StoredModel> find_model(const std::string& name);

/// What a version of a model takes up.
struct ModelUsage {
  std::string name{};
  std::string version{};
  std::string origin{};           ///< As StoredModel::origin.
  std::int64_t bytes = 0;         ///< Of its files, each counted once.
  std::int64_t shared_bytes = 0;  ///< Of these, what other models in the list have too.
};

/// What something that keeps models takes up.
struct OriginUsage {
  std::string origin{};
  std::string folder{};
  std::int64_t bytes = 0;         ///< Of all files, each counted once.
  std::int64_t unused_bytes = 0;  ///< Of these, what no model needs (ModelStore::leftovers, ...).
};

struct DiskUsage {
  std::vector<ModelUsage> models{};    ///< The largest first.
  std::vector<OriginUsage> origins{};  ///< Empty when a model was named.
  std::int64_t bytes = 0;              ///< Of all of it, each file counted once.
};

/// What models take up on this machine; files that several have (hard links, links to one blob) are
/// one. `model`: only versions of this one, "name" or "name:version", letter case ignored. Throws
/// kNotFound when there is none, kInvalidArgument for a name that may mean several.
OPENLLM_API DiskUsage disk_usage(const std::string& model = {});

}  // namespace openllm

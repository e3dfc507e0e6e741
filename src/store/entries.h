#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "openllm/store.h"
#include "store/names.h"

// The entries of the store: `<root>/models/<owner>/<name>/<version>/`, each with its model.json.
namespace openllm::store {

constexpr const char* kInfoFile = "model.json";
/// Of ten thousand files with their hashes.
constexpr std::size_t kMaxInfoBytes = std::size_t{4} << 20U;

/// What lies in `<version>/model.json` besides the model, with the moment it was added.
struct Entry {
  StoredModel model{};
  std::int64_t added_ns = 0;
};

struct Contents {
  std::vector<Entry> entries{};
  std::vector<DamagedModel> damaged{};
};

/// "name" or "name:version".
struct Reference {
  ModelName name{};
  std::string version{};
};

std::filesystem::path models_folder(const std::string& root);
/// The folder of all versions of a model.
std::filesystem::path model_folder(const std::string& root, const ModelName& name);
/// Names of the folders in a folder, sorted; none when it cannot be read.
std::vector<std::string> subfolders(const std::filesystem::path& folder);

/// Members of a description; empty, or 0, when they are missing or of another type.
std::string text_member(const base::Json& json, const char* key);
std::int64_t int_member(const base::Json& json, const char* key);

/// Throws when the folder is not a model of this store; the message does not name the folder.
Entry read_entry(const std::filesystem::path& folder, std::string name, std::string version);
Contents read_all(const std::string& root);

/// Throws kInvalidArgument when no model can be called so.
Reference parse_reference(const std::string& text);
/// What is meant, the newest first; damaged entries in no order. A model of exactly that name, else
/// one whose name differs in letter case only; throws kInvalidArgument when several do.
Contents matches(const std::string& root, const Reference& wanted);

}  // namespace openllm::store

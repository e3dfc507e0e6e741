#include "openllm/store.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "store/import.h"
#include "store/names.h"
#include "store/staging.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr const char* kInfoFile = "model.json";
/// Owner folder of names without an owner; no owner can be called so.
constexpr const char* kNoOwner = "-";
constexpr std::size_t kMaxInfoBytes = 1 << 16;

std::string default_root() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string home = variable("OPENLLM_HOME"); !home.empty()) return home;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return cache + "/openllm";
  if (const std::string home = variable("HOME"); !home.empty()) return home + "/.cache/openllm";
  base::fail(ErrorCode::kNotFound,
             "model store: none of OPENLLM_HOME, XDG_CACHE_HOME and HOME is set");
}

/// What lies in `<version>/model.json` besides the model, with the moment it was added.
struct Entry {
  StoredModel model{};
  std::string sha256{};
  std::int64_t added_ns = 0;
};

fs::path models_folder(const std::string& root) { return fs::path(root) / "models"; }

fs::path model_folder(const std::string& root, const store::ModelName& name) {
  return models_folder(root) / (name.owner.empty() ? kNoOwner : name.owner) / name.name;
}

std::string text_member(const Json& json, const char* key) {
  const Json* value = json.find(key);
  const std::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : *text;
}

std::int64_t int_member(const Json& json, const char* key) {
  const Json* value = json.find(key);
  const std::int64_t* number = value == nullptr ? nullptr : value->if_int();
  return number == nullptr ? 0 : *number;
}

/// Nothing when the folder is not a model of this store, whatever its model.json says.
std::optional<Entry> read_entry(const fs::path& folder, std::string name, std::string version) {
  Entry entry;
  Json info;
  try {
    info = Json::parse(base::read_file((folder / kInfoFile).string(), kMaxInfoBytes), kInfoFile);
  } catch (const Error&) {
    return std::nullopt;
  }
  entry.model.name = std::move(name);
  entry.model.version = std::move(version);
  entry.model.format = text_member(info, "format");
  entry.model.bytes = int_member(info, "bytes");
  entry.sha256 = text_member(info, "sha256");
  entry.added_ns = int_member(info, "added_ns");
  const std::string file = text_member(info, "file");
  // A damaged description must not lead out of the folder.
  if (file.find('/') != std::string::npos || file == "..") return std::nullopt;
  const fs::path path = file.empty() ? folder : folder / file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  entry.model.path = path.string();
  return entry;
}

std::vector<std::string> subfolders(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<Entry> read_all(const std::string& root) {
  std::vector<Entry> entries;
  for (const std::string& owner : subfolders(models_folder(root))) {
    if (owner != kNoOwner && !store::is_name_part(owner)) continue;
    for (const std::string& name : subfolders(models_folder(root) / owner)) {
      if (!store::is_name_part(name)) continue;
      const std::string full = owner == kNoOwner ? name : owner + "/" + name;
      for (const std::string& version : subfolders(models_folder(root) / owner / name)) {
        if (!store::is_name_part(version)) continue;
        if (auto entry = read_entry(models_folder(root) / owner / name / version, full, version)) {
          entries.push_back(std::move(*entry));
        }
      }
    }
  }
  return entries;
}

/// "name" or "name:version".
struct Reference {
  store::ModelName name;
  std::string version;
};

Reference parse_reference(const std::string& text) {
  const std::size_t colon = text.find(':');
  Reference result{store::parse_name(std::string_view(text).substr(0, colon)), {}};
  if (colon != std::string::npos) {
    result.version = text.substr(colon + 1);
    store::check_version(result.version);
  }
  return result;
}

/// The matching entries, newest first.
std::vector<Entry> matches(const std::string& root, const Reference& wanted) {
  std::vector<Entry> found;
  for (Entry& entry : read_all(root)) {
    if (!store::same_ignoring_case(entry.model.name, wanted.name.full())) continue;
    if (!wanted.version.empty() && entry.model.version != wanted.version) continue;
    found.push_back(std::move(entry));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Entry& a, const Entry& b) { return a.added_ns > b.added_ns; });
  return found;
}

std::string describe(const store::Source& source, const store::Copied& copied,
                     const std::string& name, const std::string& version) {
  Json info = Json::object();
  info["name"] = name;
  info["version"] = version;
  info["format"] = source.format;
  info["file"] = source.file;
  info["bytes"] = copied.bytes;
  info["sha256"] = copied.sha256;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info["added_ns"] =
      static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  return info.dump() + "\n";
}

}  // namespace

ModelStore::ModelStore() : root_(default_root()) {}

ModelStore::ModelStore(std::string root) : root_(std::move(root)) {}

std::vector<StoredModel> ModelStore::list() const {
  std::vector<StoredModel> models;
  for (Entry& entry : read_all(root_)) models.push_back(std::move(entry.model));
  return models;
}

std::optional<StoredModel> ModelStore::find(const std::string& name) const {
  Reference wanted;
  try {
    wanted = parse_reference(name);
  } catch (const Error&) {
    return std::nullopt;  // no model can be called so
  }
  auto found = matches(root_, wanted);
  if (found.empty()) return std::nullopt;
  return std::move(found.front().model);
}

StoredModel ModelStore::add(const std::string& name, const std::string& path,
                            const std::string& version) const {
  Reference wanted = parse_reference(name);
  if (!version.empty()) {
    store::check_version(version);
    wanted.version = version;
  }
  // A name that differs in letter case only is the same model.
  if (const auto known = matches(root_, {wanted.name, {}}); !known.empty()) {
    wanted.name = store::parse_name(known.front().model.name);
  }
  const store::Source source = store::inspect(path);
  store::Staging staging(root_);
  const store::Copied copied = store::copy_files(source, staging.folder());
  if (wanted.version.empty()) wanted.version = copied.sha256.substr(0, 12);
  const std::string full = wanted.name.full();
  store::write_file(staging.folder() / kInfoFile, describe(source, copied, full, wanted.version));

  const fs::path target = model_folder(root_, wanted.name) / wanted.version;
  const bool published = staging.publish(target);
  const auto stored = read_entry(target, full, wanted.version);
  if (!stored)
    base::fail(ErrorCode::kIo, target.string(), ": is in the way and not a model of the store");
  if (!published && stored->sha256 != copied.sha256) {
    base::fail(ErrorCode::kInvalidArgument, "model store: ", full, ":", wanted.version,
               " exists with other content (remove it first, or give another version)");
  }
  return stored->model;
}

bool ModelStore::remove(const std::string& name) const {
  const Reference wanted = parse_reference(name);
  bool removed = false;
  for (const Entry& entry : matches(root_, wanted)) {
    store::Staging staging(root_);
    const fs::path folder = model_folder(root_, store::parse_name(entry.model.name));
    removed = staging.take(folder / entry.model.version) || removed;
    std::error_code ignored;  // only empty folders go
    fs::remove(folder, ignored);
    fs::remove(folder.parent_path(), ignored);
  }
  return removed;
}

}  // namespace openllm

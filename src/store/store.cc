#include "openllm/store.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/nearest.h"
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
  if (std::string home = variable("OPENLLM_HOME"); !home.empty()) return home;
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

/// Throws when the folder is not a model of this store; the message does not name the folder.
Entry read_entry(const fs::path& folder, std::string name, std::string version) {
  std::string text;
  try {
    text = base::read_file((folder / kInfoFile).string(), kMaxInfoBytes, kInfoFile);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, error.what(), error.where());
  }
  const Json info = Json::parse(text, kInfoFile);
  info.as_object(kInfoFile);
  Entry entry;
  entry.model.name = std::move(name);
  entry.model.version = std::move(version);
  entry.model.format = text_member(info, "format");
  entry.model.bytes = int_member(info, "bytes");
  entry.sha256 = text_member(info, "sha256");
  entry.added_ns = int_member(info, "added_ns");
  const std::string file = text_member(info, "file");
  // A damaged description must not lead out of the folder.
  if (file.find('/') != std::string::npos || file == "..")
    base::fail(ErrorCode::kCorruptData, kInfoFile, ": file: leads out of the folder");
  const fs::path path = file.empty() ? folder : folder / file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) base::fail(ErrorCode::kCorruptData, file, ": missing");
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

struct Contents {
  std::vector<Entry> entries{};
  std::vector<DamagedModel> damaged{};
};

Contents read_all(const std::string& root) {
  Contents all;
  const auto read_version = [&](const fs::path& folder, const std::string& name,
                                const std::string& version) {
    try {
      all.entries.push_back(read_entry(folder, name, version));
    } catch (const Error& error) {
      std::error_code ignored;
      // Removed by somebody else in this moment.
      if (!fs::exists(folder, ignored)) return;
      all.damaged.push_back({name, version, error.what()});
    }
  };
  for (const std::string& owner : subfolders(models_folder(root))) {
    if (owner != kNoOwner && !store::is_name_part(owner)) continue;
    for (const std::string& name : subfolders(models_folder(root) / owner)) {
      if (!store::is_name_part(name)) continue;
      const std::string full = owner == kNoOwner ? name : base::cat(owner, "/", name);
      for (const std::string& version : subfolders(models_folder(root) / owner / name)) {
        if (!store::is_name_part(version)) continue;
        read_version(models_folder(root) / owner / name / version, full, version);
      }
    }
  }
  return all;
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

/// What a tag refers to; nothing when it is none.
std::optional<Reference> find_tag(const std::string& root, const std::string& text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const std::size_t colon = text.find(':', dash);
  const std::string wanted = text.substr(dash + 1, colon - dash - 1);
  for (const Entry& entry : read_all(root).entries) {
    if (!store::same_ignoring_case(store::name_in_tag(entry.model.name), wanted)) continue;
    return Reference{store::parse_name(entry.model.name),
                     colon == std::string::npos ? "" : text.substr(colon + 1)};
  }
  return std::nullopt;
}

bool is_meant(const Reference& wanted, const std::string& name, const std::string& version) {
  return store::same_ignoring_case(name, wanted.name.full()) &&
         (wanted.version.empty() || version == wanted.version);
}

/// What is meant, the newest first; damaged entries in no order.
Contents matches(const std::string& root, const Reference& wanted) {
  Contents found;
  Contents all = read_all(root);
  for (Entry& entry : all.entries) {
    if (is_meant(wanted, entry.model.name, entry.model.version))
      found.entries.push_back(std::move(entry));
  }
  for (DamagedModel& entry : all.damaged) {
    if (is_meant(wanted, entry.name, entry.version)) found.damaged.push_back(std::move(entry));
  }
  std::stable_sort(found.entries.begin(), found.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.added_ns > b.added_ns; });
  return found;
}

std::optional<StoredModel> find_reference(const std::string& root, const Reference& wanted) {
  Contents found = matches(root, wanted);
  if (!found.entries.empty()) return std::move(found.entries.front().model);
  if (found.damaged.empty()) return std::nullopt;
  const DamagedModel& bad = found.damaged.front();
  base::fail(ErrorCode::kCorruptData, "model store: ", bad.name, ":", bad.version, " is damaged (",
             bad.reason, "); remove it, or add it again");
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
  for (Entry& entry : read_all(root_).entries) models.push_back(std::move(entry.model));
  return models;
}

std::vector<DamagedModel> ModelStore::damaged() const { return read_all(root_).damaged; }

std::optional<StoredModel> ModelStore::find(const std::string& name) const {
  Reference wanted;
  try {
    wanted = parse_reference(name);
  } catch (const Error&) {
    return std::nullopt;  // no model can be called so
  }
  if (auto found = find_reference(root_, wanted)) return found;
  const std::optional<Reference> tag = find_tag(root_, name);
  return tag ? find_reference(root_, *tag) : std::nullopt;
}

std::optional<std::string> ModelStore::nearest(const std::string& name) const {
  const std::size_t colon = name.find(':');
  const std::string bare = name.substr(0, colon);
  std::vector<std::string> names;
  for (const Entry& entry : read_all(root_).entries) {
    const std::string& known = entry.model.name;
    // The version is what is wrong.
    if (colon != std::string::npos && store::same_ignoring_case(known, bare))
      return known + ":" + entry.model.version;
    // The owner is missing.
    const std::size_t slash = known.find('/');
    if (slash != std::string::npos && store::same_ignoring_case(known.substr(slash + 1), bare))
      return known;
    names.push_back(known);
  }
  if (auto typo = base::nearest(bare, names)) return typo;
  // Part of a name, as people call models ("smollm2", "llama3.2:1b").
  return store::containing(name, names);
}

StoredModel ModelStore::add(const std::string& name, const std::string& path,
                            const std::string& version) const {
  Reference wanted = parse_reference(name);
  if (!version.empty()) {
    store::check_version(version);
    if (!wanted.version.empty() && wanted.version != version) {
      base::fail(ErrorCode::kInvalidArgument, "model store: two versions given (", wanted.version,
                 " in the name, and ", version, ")");
    }
    wanted.version = version;
  }
  // A name that differs in letter case only is the same model.
  if (const Contents known = matches(root_, {wanted.name, {}}); !known.entries.empty()) {
    wanted.name = store::parse_name(known.entries.front().model.name);
  }
  const store::Source source = store::inspect(path);
  store::Staging staging(root_);
  const store::Copied copied = store::copy_files(source, staging.folder());
  if (wanted.version.empty()) wanted.version = copied.sha256.substr(0, 12);
  const std::string full = wanted.name.full();
  store::write_file(staging.folder() / kInfoFile, describe(source, copied, full, wanted.version));

  const fs::path target = model_folder(root_, wanted.name) / wanted.version;
  if (staging.publish(target)) return read_entry(target, full, wanted.version).model;
  try {
    const Entry stored = read_entry(target, full, wanted.version);
    if (stored.sha256 == copied.sha256) return stored.model;
  } catch (const Error&) {
    // A damaged entry makes room.
    if (staging.take(target) && staging.publish(target))
      return read_entry(target, full, wanted.version).model;
    base::fail(ErrorCode::kIo, target.string(), ": is in the way and not a model of the store");
  }
  base::fail(ErrorCode::kInvalidArgument, "model store: ", full, ":", wanted.version,
             " exists with other content (remove it first, or give another version)");
}

bool ModelStore::remove(const std::string& name) const {
  const Contents found = matches(root_, parse_reference(name));
  bool removed = false;
  const auto remove_one = [&](const std::string& full, const std::string& version) {
    store::Staging staging(root_);
    const fs::path folder = model_folder(root_, store::parse_name(full));
    removed = staging.take(folder / version) || removed;
    std::error_code ignored;  // only empty folders go
    fs::remove(folder, ignored);
    fs::remove(folder.parent_path(), ignored);
  };
  for (const Entry& entry : found.entries) remove_one(entry.model.name, entry.model.version);
  for (const DamagedModel& entry : found.damaged) remove_one(entry.name, entry.version);
  return removed;
}

}  // namespace openllm

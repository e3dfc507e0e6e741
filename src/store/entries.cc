#include "store/entries.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "store/file_times.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;
using base::Json;

/// Owner folder of names without an owner; no owner can be called so.
constexpr const char* kNoOwner = "-";

bool is_meant(const Reference& wanted, const std::string& name, const std::string& version) {
  return same_ignoring_case(name, wanted.name.full()) &&
         (wanted.version.empty() || version == wanted.version);
}

/// The name that is meant, in the store's spelling; empty when there is none.
std::string meant_name(const Contents& all, const Reference& wanted) {
  std::set<std::string> names;
  for (const Entry& entry : all.entries) {
    if (is_meant(wanted, entry.model.name, entry.model.version)) names.insert(entry.model.name);
  }
  for (const DamagedModel& entry : all.damaged) {
    if (is_meant(wanted, entry.name, entry.version)) names.insert(entry.name);
  }
  if (names.count(wanted.name.full()) > 0) return wanted.name.full();
  if (names.size() > 1) fail_ambiguous(wanted.name.full(), {names.begin(), names.end()});
  return names.empty() ? std::string() : *names.begin();
}

}  // namespace

fs::path models_folder(const std::string& root) { return fs::path(root) / "models"; }

fs::path model_folder(const std::string& root, const ModelName& name) {
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
  entry.model.sha256 = text_member(info, "sha256");
  entry.added_ns = int_member(info, "added_ns");
  const std::string file = text_member(info, "file");
  // A damaged description must not lead out of the folder.
  if (file.find('/') != std::string::npos || file == "..")
    base::fail_at(ErrorCode::kCorruptData, kInfoFile, "file: leads out of the folder");
  const fs::path path = file.empty() ? folder : folder / file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) base::fail_at(ErrorCode::kCorruptData, file, "missing");
  entry.model.path = path.string();
  entry.model.used_ns = last_use_of(path);
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
    if (owner != kNoOwner && !is_name_part(owner)) continue;
    for (const std::string& name : subfolders(models_folder(root) / owner)) {
      if (!is_name_part(name)) continue;
      const std::string full = owner == kNoOwner ? name : base::cat(owner, "/", name);
      for (const std::string& version : subfolders(models_folder(root) / owner / name)) {
        if (!is_name_part(version)) continue;
        read_version(models_folder(root) / owner / name / version, full, version);
      }
    }
  }
  return all;
}

Reference parse_reference(const std::string& text) {
  const std::size_t colon = text.find(':');
  Reference result{parse_name(std::string_view(text).substr(0, colon)), {}};
  if (colon != std::string::npos) {
    result.version = text.substr(colon + 1);
    check_version(result.version);
  }
  return result;
}

Contents matches(const std::string& root, const Reference& wanted) {
  Contents found;
  Contents all = read_all(root);
  const std::string name = meant_name(all, wanted);
  for (Entry& entry : all.entries) {
    if (entry.model.name == name && is_meant(wanted, name, entry.model.version))
      found.entries.push_back(std::move(entry));
  }
  for (DamagedModel& entry : all.damaged) {
    if (entry.name == name && is_meant(wanted, name, entry.version))
      found.damaged.push_back(std::move(entry));
  }
  std::stable_sort(found.entries.begin(), found.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.added_ns > b.added_ns; });
  return found;
}

}  // namespace openllm::store

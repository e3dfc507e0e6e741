#include "openllm/store.h"

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/home.h"
#include "base/nearest.h"
#include "store/entries.h"
#include "store/names.h"
#include "store/put.h"
#include "store/staging.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

std::string default_root() {
  std::string root = base::home_folder();
  if (!root.empty()) return root;
  base::fail(ErrorCode::kNotFound,
             "model store: none of OPENLLM_HOME, XDG_CACHE_HOME and HOME is set");
}

/// What a tag refers to; nothing when it is none. Tags are in lower case, so several models may
/// have one that differs in the version only; throws when they do not differ at all.
std::optional<store::Reference> find_tag(const std::string& root, const std::string& text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const std::size_t colon = text.find(':', dash);
  const std::string wanted = text.substr(dash + 1, colon - dash - 1);
  const std::string version = colon == std::string::npos ? "" : text.substr(colon + 1);
  std::set<std::string> names;
  for (const store::Entry& entry : store::read_all(root).entries) {
    const bool is_version = version.empty() || entry.model.version == version;
    if (is_version && store::same_ignoring_case(store::name_in_tag(entry.model.name), wanted))
      names.insert(entry.model.name);
  }
  if (names.empty()) return std::nullopt;
  if (names.size() > 1) store::fail_ambiguous(text, {names.begin(), names.end()});
  return store::Reference{store::parse_name(*names.begin()), version};
}

std::optional<StoredModel> find_reference(const std::string& root, const store::Reference& wanted) {
  store::Contents found = store::matches(root, wanted);
  if (!found.entries.empty()) return std::move(found.entries.front().model);
  if (found.damaged.empty()) return std::nullopt;
  const DamagedModel& bad = found.damaged.front();
  base::fail(ErrorCode::kCorruptData, "model store: ", bad.name, ":", bad.version, " is damaged (",
             bad.reason, "); remove it, or add it again");
}

}  // namespace

ModelStore::ModelStore() : root_(default_root()) {}

ModelStore::ModelStore(std::string root) : root_(std::move(root)) {}

std::vector<StoredModel> ModelStore::list() const {
  std::vector<StoredModel> models;
  for (store::Entry& entry : store::read_all(root_).entries)
    models.push_back(std::move(entry.model));
  return models;
}

std::vector<DamagedModel> ModelStore::damaged() const { return store::read_all(root_).damaged; }

std::optional<StoredModel> ModelStore::find(const std::string& name) const {
  store::Reference wanted;
  try {
    wanted = store::parse_reference(name);
  } catch (const Error&) {
    return std::nullopt;  // no model can be called so
  }
  if (auto found = find_reference(root_, wanted)) return found;
  const std::optional<store::Reference> tag = find_tag(root_, name);
  return tag ? find_reference(root_, *tag) : std::nullopt;
}

std::optional<std::string> ModelStore::nearest(const std::string& name) const {
  const std::size_t colon = name.find(':');
  const std::string bare = name.substr(0, colon);
  std::vector<std::string> names;
  for (const store::Entry& entry : store::read_all(root_).entries) {
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
  return store::put(root_, {.name = name, .version = version}, path).model;
}

bool ModelStore::remove(const std::string& name) const {
  const store::Contents found = store::matches(root_, store::parse_reference(name));
  bool removed = false;
  const auto remove_one = [&](const std::string& full, const std::string& version) {
    store::Staging staging(root_);
    const fs::path folder = store::model_folder(root_, store::parse_name(full));
    removed = staging.take(folder / version) || removed;
    std::error_code ignored;  // only empty folders go
    fs::remove(folder, ignored);
    fs::remove(folder.parent_path(), ignored);
  };
  for (const store::Entry& entry : found.entries) remove_one(entry.model.name, entry.model.version);
  for (const DamagedModel& entry : found.damaged) remove_one(entry.name, entry.version);
  return removed;
}

}  // namespace openllm

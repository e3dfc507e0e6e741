#include "openllm/models.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "hub/cache.h"
#include "llm/hub_models.h"
#include "llm/model_files.h"
#include "store/entries.h"
#include "store/hub_cache.h"
#include "store/names.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

/// Files, whatever names they have, and their bytes.
using Files = std::map<std::pair<dev_t, ino_t>, std::int64_t>;

void collect(const fs::path& path, Files& files) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  std::int64_t bytes = info.st_size;
  // Downloads have holes.
  if (path.native().ends_with(".incomplete"))
    bytes = std::min<std::int64_t>(bytes, std::int64_t{512} * info.st_blocks);
  files[{info.st_dev, info.st_ino}] = bytes;
}

/// Everything below a folder, links to files followed.
Files files_below(const fs::path& folder) {
  Files files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error))
    collect(it->path(), files);
  return files;
}

std::int64_t bytes_of(const Files& files) {
  std::int64_t bytes = 0;
  for (const auto& [file, size] : files) bytes += size;
  return bytes;
}

/// A version of a model, and its files.
struct Row {
  std::string name{};
  std::string version{};
  std::string origin{};
  std::vector<std::string> refs{};  ///< Other names of the version.
  Files files{};
};

/// What keeps models, and its files.
struct Origin {
  std::string name{};
  std::string folder{};
  Files files{};
};

struct Inventory {
  std::vector<Row> rows{};
  std::vector<Origin> origins{};
};

void add_store(const ModelStore& store, Inventory& all) {
  for (const StoredModel& model : store.list()) {
    const fs::path folder =
        store::model_folder(store.root(), store::parse_name(model.name)) / model.version;
    all.rows.push_back({model.name, model.version, model.origin, {}, files_below(folder)});
  }
  Origin origin{"store", store.root()};
  origin.files = files_below(store::models_folder(store.root()));
  origin.files.merge(files_below(fs::path(store.root()) / "tmp"));
  all.origins.push_back(std::move(origin));
}

void add_cache(const Hub& hub, Inventory& all) {
  const hub::Cache cache(hub.cache());
  for (hub::Snapshot& snapshot : cache.snapshots()) {
    if (cache.models_in(snapshot).empty()) continue;
    all.rows.push_back({snapshot.repo, snapshot.commit, "hub", std::move(snapshot.refs),
                        files_below(snapshot.folder)});
  }
  Origin origin{"hub", hub.cache()};
  for (const std::string& name : store::names_in(hub.cache())) {
    if (store::repo_of_folder(name).empty()) continue;
    for (const char* part : {"blobs", "snapshots"})
      origin.files.merge(files_below(fs::path(hub.cache()) / name / part));
  }
  all.origins.push_back(std::move(origin));
}

void add_downloads(const Hub& hub, Inventory& all) {
  for (const HubModel& model : hub.list()) {
    if (model.url.empty()) continue;
    const StoredModel entry = llm::stored(model);
    all.rows.push_back({entry.name,
                        entry.version,
                        entry.origin,
                        {},
                        files_below(fs::path(model.path).parent_path())});
  }
  Origin origin{"url", hub.downloads()};
  origin.files = files_below(hub.downloads());
  all.origins.push_back(std::move(origin));
}

/// What other programs keep.
void add_others(const Hub& hub, Inventory& all) {
  std::map<std::string, Origin> origins;
  for (const HubModel& model : hub.list()) {
    if (model.origin == "hub" || model.origin == "url") continue;
    Files files;
    if (std::error_code ignored; fs::is_directory(model.path, ignored)) {
      files = files_below(model.path);
    } else {
      collect(model.path, files);
    }
    Origin& origin = origins[model.origin];
    origin.name = model.origin;
    origin.files.merge(Files(files));
    const StoredModel entry = llm::stored(model);
    all.rows.push_back({entry.name, entry.version, entry.origin, model.refs, std::move(files)});
  }
  for (auto& [name, origin] : origins) all.origins.push_back(std::move(origin));
}

Inventory take_inventory() {
  Inventory all;
  if (const auto store = llm::find_store()) add_store(*store, all);
  if (const auto hub = llm::find_hub()) {
    add_cache(*hub, all);
    add_downloads(*hub, all);
    add_others(*hub, all);
  }
  return all;
}

bool is_version(const Row& row, const std::string& version) {
  constexpr std::size_t kFewestDigits = 7;
  return version.empty() || row.version == version ||
         (version.size() >= kFewestDigits && row.version.starts_with(version)) ||
         std::find(row.refs.begin(), row.refs.end(), version) != row.refs.end();
}

/// Keeps what a caller named.
void keep(const std::string& model, std::vector<Row>& rows) {
  const std::size_t mark = model.find_first_of(":@");
  const std::string name = model.substr(0, mark);
  const std::string version = mark == std::string::npos ? "" : model.substr(mark + 1);
  std::erase_if(rows, [&](const Row& row) {
    return !store::same_ignoring_case(row.name, name) || !is_version(row, version);
  });
  std::set<std::string> names;
  for (const Row& row : rows) names.insert(row.name);
  if (names.empty()) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
                    " is not on this machine; `openllm models` lists what is here");
  }
  if (names.count(name) == 0 && names.size() > 1)
    store::fail_ambiguous(model, {names.begin(), names.end()});
  const std::string meant = names.count(name) > 0 ? name : *names.begin();
  std::erase_if(rows, [&](const Row& row) { return row.name != meant; });
}

std::vector<ModelUsage> usage_of(const std::vector<Row>& rows) {
  std::map<Files::key_type, int> n_users;
  for (const Row& row : rows) {
    for (const auto& [file, size] : row.files) ++n_users[file];
  }
  std::vector<ModelUsage> models;
  for (const Row& row : rows) {
    ModelUsage model{row.name, row.version, row.origin, bytes_of(row.files)};
    for (const auto& [file, size] : row.files) {
      if (n_users[file] > 1) model.shared_bytes += size;
    }
    models.push_back(std::move(model));
  }
  std::stable_sort(models.begin(), models.end(),
                   [](const ModelUsage& a, const ModelUsage& b) { return a.bytes > b.bytes; });
  return models;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace

std::vector<StoredModel> list_models() {
  std::vector<StoredModel> models;
  if (const auto store = llm::find_store()) models = store->list();
  if (const auto hub = llm::find_hub()) {
    for (const HubModel& model : hub->list()) {
      models.push_back(llm::stored(model));
      if (!model.variant.empty() && model.url.empty()) models.back().name += ":" + model.variant;
    }
  }
  std::stable_sort(models.begin(), models.end(), [](const StoredModel& a, const StoredModel& b) {
    const std::string left = lower(a.name);
    const std::string right = lower(b.name);
    return std::tie(left, a.name) < std::tie(right, b.name);
  });
  return models;
}

std::optional<StoredModel> find_model(const std::string& name) {
  return store::is_path(name) ? std::nullopt : llm::find_here(llm::find_store(), name);
}

DiskUsage disk_usage(const std::string& model) {
  Inventory all = take_inventory();
  if (!model.empty()) {
    keep(model, all.rows);
    all.origins.clear();
  }
  DiskUsage usage;
  usage.models = usage_of(all.rows);
  Files needed;
  for (Row& row : all.rows) needed.merge(Files(row.files));
  Files total = needed;
  for (Origin& origin : all.origins) {
    OriginUsage entry{origin.name, origin.folder, bytes_of(origin.files)};
    for (const auto& [file, size] : origin.files) {
      if (needed.count(file) == 0) entry.unused_bytes += size;
    }
    usage.origins.push_back(std::move(entry));
    total.merge(origin.files);
  }
  usage.bytes = bytes_of(total);
  return usage;
}

}  // namespace openllm

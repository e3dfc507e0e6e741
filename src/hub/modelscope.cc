#include "hub/modelscope.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "hub/cache.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestVersion = 4096;
constexpr std::string_view kDot = "___";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// A link to a folder beside it: the client makes one of the right name beside one without dots.
bool is_second_name(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return false;
  const fs::path target = fs::canonical(path, error);
  if (error) return true;
  return target.parent_path() == fs::canonical(path.parent_path(), error);
}

/// One folder with a model's files.
struct Place {
  std::string repo{};
  std::string revision{};
  fs::path folder{};
};

/// Which revision an older client fetched: "Revision:v1.0,CreatedAt:1700000000"; "master" when it
/// does not say.
std::string revision_in(const fs::path& folder) {
  try {
    std::string text = base::read_file((folder / ".mv").string(), kLongestVersion);
    constexpr std::string_view kBefore = "Revision:";
    if (text.starts_with(kBefore)) text.erase(0, kBefore.size());
    text.resize(std::min(text.find_first_of(",\n"), text.size()));
    if (is_safe_path(text)) return text;
  } catch (const Error&) {
    return "master";
  }
  return "master";
}

/// Folders that have owners' folders in them, the newest layout first.
std::vector<fs::path> roots_of_owners(const fs::path& root) {
  return {root / "models", root / "hub" / "models", root, root / "hub"};
}

std::vector<Place> snapshots_of(const fs::path& root, const std::string& repo) {
  const fs::path snapshots = root / "models" / replaced(repo, "/", "--") / "snapshots";
  std::vector<Place> places;
  for (const std::string& revision : entries_of(snapshots)) {
    if (is_folder(snapshots / revision)) places.push_back({repo, revision, snapshots / revision});
  }
  return places;
}

/// The snapshot that is meant where no revision is named.
std::optional<Place> usual(const std::vector<Place>& places) {
  for (const char* name : {"master", "main"}) {
    for (const Place& place : places) {
      if (place.revision == name) return place;
    }
  }
  return places.size() == 1 ? std::optional(places[0]) : std::nullopt;
}

OtherModel described(const CachedModel& model, const Place& place) {
  return {place.repo,  place.revision,           model.variant, model.path, model.format, {},
          model.bytes, model.snapshot.changed_ns};
}

std::optional<OtherModel> open(const Place& place, const Reference& reference) {
  const auto model = open_model({place.repo, {}, {}, place.folder}, reference);
  return model ? std::optional(described(*model, place)) : std::nullopt;
}

/// The older layouts' folders of a model: by its name, and by its name without dots.
std::vector<Place> older_places(const fs::path& root, const std::string& repo) {
  const std::size_t slash = repo.find('/');
  if (slash == std::string::npos) return {};
  const std::string owner = repo.substr(0, slash);
  const std::string name = repo.substr(slash + 1);
  std::vector<Place> places;
  for (const fs::path& folder : roots_of_owners(root)) {
    for (const std::string& place : {replaced(name, ".", kDot), name}) {
      if (is_folder(folder / owner / place))
        places.push_back({repo, revision_in(folder / owner / place), folder / owner / place});
    }
  }
  return places;
}

/// Every folder that may have a model's files.
std::vector<Place> all_places(const fs::path& root) {
  std::vector<Place> places;
  for (const std::string& folder : entries_of(root / "models")) {
    const std::string repo = replaced(folder, "--", "/");
    if (!is_repo_name(repo) || repo == folder) continue;
    for (Place& place : snapshots_of(root, repo)) places.push_back(std::move(place));
  }
  constexpr std::array kOthers = {std::string_view("hub"),      std::string_view("models"),
                                  std::string_view("datasets"), std::string_view("studios"),
                                  std::string_view("mcps"),     std::string_view("skills")};
  for (const fs::path& folder : roots_of_owners(root)) {
    for (const std::string& owner : entries_of(folder)) {
      if (std::find(kOthers.begin(), kOthers.end(), owner) != kOthers.end()) continue;
      for (const std::string& name : entries_of(folder / owner)) {
        const fs::path place = folder / owner / name;
        const std::string repo = base::cat(owner, "/", replaced(name, kDot, "."));
        if (is_repo_name(repo) && is_folder(place) && !is_second_name(place))
          places.push_back({repo, revision_in(place), place});
      }
    }
  }
  return places;
}

}  // namespace

fs::path ModelScopeCache::snapshot_folder(std::string_view repo, std::string_view revision) const {
  return root_ / "models" / replaced(std::string(repo), "/", "--") / "snapshots" / revision;
}

std::optional<OtherModel> ModelScopeCache::find(const Reference& reference) const {
  if (!is_repo_name(reference.repo)) return std::nullopt;
  if (!reference.revision.empty()) {
    if (!is_safe_path(reference.revision)) return std::nullopt;
    const Place place{reference.repo, reference.revision,
                      snapshot_folder(reference.repo, reference.revision)};
    if (auto found = open(place, reference)) return found;
  } else if (const auto place = usual(snapshots_of(root_, reference.repo))) {
    if (auto found = open(*place, reference)) return found;
  }
  for (const Place& place : older_places(root_, reference.repo)) {
    if (!reference.revision.empty() && reference.revision != place.revision) continue;
    if (auto found = open(place, reference)) return found;
  }
  return std::nullopt;
}

std::vector<OtherModel> ModelScopeCache::list() const {
  std::vector<OtherModel> models;
  std::set<std::string> known;
  for (const Place& place : all_places(root_)) {
    const std::string name = base::cat(place.repo, "@", place.revision);
    if (known.count(name) > 0) continue;
    for (const CachedModel& model : open_models({place.repo, {}, {}, place.folder})) {
      models.push_back(described(model, place));
      known.insert(name);
    }
  }
  std::stable_sort(models.begin(), models.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  return models;
}

}  // namespace openllm::hub

#include "hub/llama_cpp.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "format/locate.h"
#include "hub/selection.h"
#include "store/names.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "manifest=";
constexpr std::string_view kEnding = ".json";
constexpr std::size_t kLongestManifest = std::size_t{4} << 20U;

/// "manifest=owner=name=TAG.json".
struct ManifestName {
  std::string file{};
  std::string repo{};
  std::string tag{};
};

std::optional<ManifestName> parse_name(const std::string& file) {
  if (!file.starts_with(kPrefix) || !file.ends_with(kEnding) ||
      std::count(file.begin(), file.end(), '=') != 3)
    return std::nullopt;
  const std::size_t name = file.find('=', kPrefix.size());
  const std::size_t tag = file.find('=', name + 1);
  ManifestName result{file};
  result.repo = base::cat(file.substr(kPrefix.size(), name - kPrefix.size()), "/",
                          file.substr(name + 1, tag - name - 1));
  result.tag = file.substr(tag + 1, file.size() - kEnding.size() - tag - 1);
  return is_repo_name(result.repo) ? std::optional(std::move(result)) : std::nullopt;
}

std::vector<ManifestName> manifests_in(const fs::path& folder) {
  std::vector<ManifestName> names;
  for (const std::string& file : entries_of(folder)) {
    if (auto name = parse_name(file)) names.push_back(std::move(*name));
  }
  return names;
}

/// The model that a manifest means; nothing when it or its file is damaged or not whole.
std::optional<OtherModel> open(const fs::path& folder, const ManifestName& name) {
  try {
    const fs::path manifest = folder / name.file;
    const std::string file = parse_llama_cpp_manifest(
        base::read_file(manifest.string(), kLongestManifest), manifest.string());
    OtherModel model{name.repo, {}, variant_of(file), {}, "gguf"};
    std::string flat = base::cat(name.repo, "_", file);
    std::replace(flat.begin(), flat.end(), '/', '_');
    model.path = folder / flat;
    for (const std::string& part : parts_of_split(flat)) {
      if (!measure_file(folder / part, model)) return std::nullopt;
    }
    const bool is_model = format::starts_with_gguf_magic(model.path.string());
    return is_model ? std::optional(std::move(model)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string parse_llama_cpp_manifest(const std::string& text, const std::string& where) {
  const std::string* name = nullptr;
  try {
    const base::Json json = base::Json::parse(text, where);
    const base::Json* file = json.is_object() ? json.find("ggufFile") : nullptr;
    const base::Json* member =
        file != nullptr && file->is_object() ? file->find("rfilename") : nullptr;
    if (member != nullptr) name = member->if_string();
    if (name != nullptr && is_safe_path(*name) && format::has_gguf_ending(*name)) return *name;
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, error.what(), where);
  }
  base::fail_at(ErrorCode::kCorruptData, where, "names no GGUF file (expected ggufFile.rfilename)");
}

std::optional<OtherModel> LlamaCppCache::find(const Reference& reference) const {
  if (!reference.revision.empty() || !reference.file.empty()) return std::nullopt;
  std::vector<OtherModel> found;
  for (const ManifestName& name : manifests_in(folder_)) {
    if (name.repo != reference.repo) continue;
    auto model = open(folder_, name);
    if (!model) continue;
    const bool is_it = reference.variant.empty()
                           ? name.tag == "latest"
                           : store::same_ignoring_case(model->variant, reference.variant) ||
                                 store::same_ignoring_case(name.tag, reference.variant);
    if (is_it) return model;
    if (reference.variant.empty()) found.push_back(std::move(*model));
  }
  const auto is_same = [&](const OtherModel& model) { return model.path == found[0].path; };
  const bool is_only = !found.empty() && std::all_of(found.begin(), found.end(), is_same);
  return is_only ? std::optional(std::move(found[0])) : std::nullopt;
}

std::vector<OtherModel> LlamaCppCache::list() const {
  std::vector<OtherModel> models;
  std::set<fs::path> known;
  for (const ManifestName& name : manifests_in(folder_)) {
    auto model = open(folder_, name);
    if (model && known.insert(model->path).second) models.push_back(std::move(*model));
  }
  return models;
}

}  // namespace openllm::hub

#include "hub/other_models.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "hub/download.h"
#include "hub/file_digest.h"
#include "hub/llama_cpp.h"
#include "hub/modelscope.h"
#include "hub/ollama.h"
#include "hub/renamed.h"
#include "hub/suggest.h"
#include "store/file_times.h"

namespace openllm::hub {
namespace {

constexpr std::string_view kOllama = "ollama://";
constexpr std::size_t kShownDigits = 12;

std::vector<std::string> split(const std::string& folders) {
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    if (end > begin) result.push_back(folders.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

OllamaModels ollama_of(const HubOptions& options) { return OllamaModels(split(options.ollama)); }

std::optional<HubModel> find_in_hub_cache(const HubOptions& options, const Reference& reference) {
  const Cache cache(options.cache);
  const auto found = cache.find(with_name_of_today(options.downloads, cache, reference));
  return found ? std::optional(described(*found)) : std::nullopt;
}

std::optional<HubModel> find_in_modelscope(const HubOptions& options, const Reference& reference) {
  if (options.modelscope.cache.empty()) return std::nullopt;
  const auto found = ModelScopeCache(options.modelscope.cache).find(reference);
  return found ? std::optional(described(*found, "modelscope")) : std::nullopt;
}

/// Its own folder, or what it keeps there as huggingface_hub does.
std::optional<HubModel> find_in_llama_cpp(const HubOptions& options, const Reference& reference) {
  if (options.llama_cpp.empty()) return std::nullopt;
  if (const auto found = LlamaCppCache(options.llama_cpp).find(reference))
    return described(*found, "llama.cpp");
  auto found = Cache(options.llama_cpp).find(reference);
  if (!found) return std::nullopt;
  HubModel model = described(*found);
  model.origin = "llama.cpp";
  return model;
}

}  // namespace

HubModel described(const CachedModel& model) {
  const Snapshot& snapshot = model.snapshot;
  return {.id = snapshot.repo,
          .commit = snapshot.commit,
          .refs = snapshot.refs,
          .variant = model.variant,
          .path = model.path.string(),
          .format = model.format,
          .bytes = model.bytes,
          .changed_ns = snapshot.changed_ns,
          .used_ns = model.used_ns,
          .version = snapshot.commit};
}

HubModel described(const OtherModel& model, const std::string& origin) {
  HubModel result;
  result.id = model.id;
  if (!model.revision.empty()) result.refs = {model.revision};
  result.variant = model.variant;
  result.path = model.path.string();
  result.format = model.format;
  result.bytes = model.bytes;
  result.changed_ns = model.changed_ns;
  result.used_ns = store::last_use_of(result.path);
  result.origin = origin;
  result.version = model.sha256.empty() ? model.revision : model.sha256.substr(0, kShownDigits);
  return result;
}

std::optional<HubModel> find_in_caches(const HubOptions& options, const Reference& reference) {
  using Find = std::optional<HubModel> (*)(const HubOptions&, const Reference&);
  std::vector<Find> places;
  if (reference.hub != HubKind::kModelScope) places.push_back(find_in_hub_cache);
  if (reference.hub != HubKind::kHuggingFace) places.push_back(find_in_modelscope);
  if (options.hub == "modelscope") std::reverse(places.begin(), places.end());
  if (reference.hub != HubKind::kModelScope) places.push_back(find_in_llama_cpp);
  for (const Find find : places) {
    if (auto found = find(options, reference)) return found;
  }
  return std::nullopt;
}

std::vector<HubModel> list_others(const HubOptions& options) {
  std::vector<HubModel> models;
  const auto add = [&](const std::vector<OtherModel>& others, const char* origin) {
    for (const OtherModel& model : others) models.push_back(described(model, origin));
  };
  if (!options.modelscope.cache.empty())
    add(ModelScopeCache(options.modelscope.cache).list(), "modelscope");
  if (!options.llama_cpp.empty()) {
    add(LlamaCppCache(options.llama_cpp).list(), "llama.cpp");
    for (const CachedModel& model : Cache(options.llama_cpp).list()) {
      models.push_back(described(model));
      models.back().origin = "llama.cpp";
    }
  }
  add(ollama_of(options).list(), "ollama");
  return models;
}

void refuse_to_change(const HubOptions& options, const std::string& model) {
  if (is_ollama(model)) {
    base::fail_at(ErrorCode::kUnsupported, "model", model,
                  " is Ollama's, and not changed here (`ollama rm` removes it)");
  }
  const auto reference = parse_reference(model, options.endpoint);
  if (!reference || !reference->url.empty()) return;
  const auto found = find_in_caches(options, *reference);
  if (!found || found->origin == "hub") return;
  const char* owner = found->origin == "modelscope" ? "ModelScope's client" : "llama.cpp";
  base::fail_at(ErrorCode::kUnsupported, "model", model, " is what ", owner,
                " keeps, and not changed here (it lies in ", found->path, ")");
}

bool is_ollama(const std::string& model) noexcept { return model.starts_with(kOllama); }

std::optional<HubModel> find_ollama(const HubOptions& options, const std::string& model) {
  const OllamaName name = parse_ollama_name(std::string_view(model).substr(kOllama.size()));
  const auto found = ollama_of(options).find(name);
  return found ? std::optional(described(*found, "ollama")) : std::nullopt;
}

HubModel require_ollama(const HubOptions& options, const std::string& model) {
  if (const auto found = find_ollama(options, model)) return *found;
  std::vector<std::string> names;
  for (const OtherModel& other : ollama_of(options).list()) names.push_back(other.id);
  const OllamaName name = parse_ollama_name(std::string_view(model).substr(kOllama.size()));
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                  "model: ", name.text(), " is not among Ollama's models in ", options.ollama,
                  "; `ollama pull ", name.text().substr(kOllama.size()), "` fetches it",
                  did_you_mean(near_names(name.text(), names)));
}

std::vector<DamagedFile> verify_ollama(const HubOptions& options, const std::string& model) {
  const HubModel found = require_ollama(options, model);
  // The file is called after its digest.
  const std::string digest = found.path.substr(found.path.size() - 64);
  if (sha256_of(found.path) == digest) return {};
  return {{found.path, "has other bytes than Ollama listed"}};
}

}  // namespace openllm::hub

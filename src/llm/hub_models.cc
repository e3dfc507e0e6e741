#include "llm/hub_models.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/error.h"
#include "hub/cache.h"
#include "hub/reference.h"
#include "hub/suggest.h"
#include "openllm/hub.h"
#include "store/names.h"

namespace openllm::llm {

std::optional<ModelStore> find_store() {
  try {
    return ModelStore();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    return std::nullopt;
  }
}

std::optional<Hub> find_hub() {
  try {
    return Hub();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    return std::nullopt;
  }
}

namespace {

/// Of the store's form; what the hub does not know the version of is "local".
std::string version_of(const HubModel& model) {
  return model.version.empty() ? "local" : model.version;
}

/// "1.3 GB".
std::string size_text(std::int64_t bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 || value >= 99.5 ? "%.0f %s" : "%.1f %s", value,
                kUnits[unit]);
  return text.data();
}

}  // namespace

StoredModel stored(const HubModel& model) {
  return {.name = model.id,
          .version = version_of(model),
          .path = model.path,
          .format = model.format,
          .bytes = model.bytes,
          .origin = model.origin,
          .used_ns = model.used_ns};
}

std::optional<StoredModel> find_cached(const std::string& name) {
  const std::optional<Hub> hub = find_hub();
  const auto found = hub ? hub->find(name) : std::nullopt;
  return found ? std::optional(stored(*found)) : std::nullopt;
}

std::optional<StoredModel> find_texts(const std::string& name) {
  const std::optional<Hub> hub = find_hub();
  const auto reference = hub::parse_reference(name);
  if (!hub || !reference || !reference->url.empty()) return std::nullopt;
  const auto found = hub::Cache(hub->cache()).find_texts(*reference);
  if (!found) return std::nullopt;
  return StoredModel{.name = found->snapshot.repo,
                     .version = found->snapshot.commit,
                     .path = found->path.string(),
                     .format = found->format,
                     .bytes = found->bytes,
                     .origin = "hub"};
}

std::optional<StoredModel> find_cached_tag(const std::string& tag) {
  const std::optional<Hub> hub = find_hub();
  const std::size_t dash = tag.find('-');
  if (!hub || dash == std::string::npos) return std::nullopt;
  for (const HubModel& model : hub->list()) {
    if (base::cat(store::name_in_tag(model.id), ":", version_of(model)) == tag.substr(dash + 1))
      return stored(model);
  }
  return std::nullopt;
}

bool is_hub_name(const std::string& name) {
  if (name.starts_with("ollama://")) return true;
  const auto reference = hub::parse_reference(name);
  return reference && (!reference->url.empty() || reference->repo.find('/') != std::string::npos);
}

std::string reason_not_to_fetch(bool ensure_available, bool offline) {
  if (!ensure_available) return "ensure_available = false forbids to fetch it";
  if (offline) return "offline = true forbids to fetch it";
  const std::optional<Hub> hub = find_hub();
  if (!hub) return "nothing says where downloads go (HOME, HF_HOME)";
  return hub->is_offline() ? "HF_HUB_OFFLINE forbids to fetch it" : std::string();
}

PullCallback as_stages(const ProgressCallback& progress) {
  if (!progress) return {};
  return [progress](const PullProgress& now) {
    const double total = static_cast<double>(std::max<std::int64_t>(now.n_bytes_total, 1));
    progress(now.is_waiting ? base::cat("waiting: another process fetches ", now.file)
                            : base::cat("fetching ", now.file, ", ", size_text(now.n_bytes), " of ",
                                        size_text(now.n_bytes_total)),
             static_cast<double>(now.n_bytes) / total);
  };
}

std::optional<StoredModel> fetch_from_hub(const std::string& name, const PullOptions& options,
                                          std::string& reason) {
  try {
    return stored(Hub().pull(name, options));
  } catch (const Error& error) {
    // One that answers, if only with an error, has been reached.
    if (error.code() != ErrorCode::kUnavailable || !error.where().empty()) throw;
    reason = base::cat("it cannot be fetched (", error.what(), ")");
    return std::nullopt;
  }
}

std::string note_near_names(const std::string& name) {
  try {
    const std::optional<Hub> hub = find_hub();
    return hub::did_you_mean(
        hub::near_names(name, hub::names_here(hub ? hub->list() : std::vector<HubModel>())));
  } catch (const Error&) {
    return {};  // the error that this is about counts
  }
}

std::string hub_cache_folder() {
  const std::optional<Hub> hub = find_hub();
  return hub ? hub->cache() : std::string();
}

}  // namespace openllm::llm

#include "openllm/hub.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "hub/cache.h"
#include "hub/environment.h"
#include "hub/fetch.h"
#include "hub/modelscope_fetch.h"
#include "hub/other_models.h"
#include "hub/other_places.h"
#include "hub/renamed.h"
#include "hub/suggest.h"
#include "hub/upkeep.h"
#include "hub/url_models.h"
#include "net/url.h"
#include "openllm/store.h"
#include "store/file_times.h"

namespace openllm {
namespace {

/// What is not the Hugging Face Hub's.
void complete_others(HubOptions& options) {
  const auto fill = [](std::string& member, const std::string& value) {
    if (member.empty()) member = value;
  };
  const hub::OtherPlaces places = hub::read_other_places();
  options.hub = options.hub.empty() ? places.hub : hub::checked_hub(options.hub, "hub");
  fill(options.modelscope.cache, places.modelscope_cache);
  fill(options.modelscope.endpoint, places.modelscope_endpoint);
  fill(options.modelscope.token, places.modelscope_token);
  fill(options.ollama, places.ollama);
  fill(options.llama_cpp, places.llama_cpp);
  fill(options.ca_file, places.ca_file);
}

HubOptions completed(HubOptions options) {
  const hub::Environment environment = hub::read_environment();
  if (options.cache.empty()) options.cache = environment.cache;
  if (options.endpoint.empty()) options.endpoint = environment.endpoint;
  if (options.token.empty()) options.token = environment.token;
  if (!options.offline) options.offline = environment.is_offline;
  if (options.downloads.empty()) options.downloads = ModelStore().root() + "/downloads";
  complete_others(options);
  for (std::string* endpoint : {&options.endpoint, &options.modelscope.endpoint}) {
    while (endpoint->ends_with('/')) endpoint->pop_back();
  }
  return options;
}

void check(const HubOptions& options) {
  if (options.cache.empty()) {
    base::fail(ErrorCode::kNotFound,
               "hub: none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HOME is set");
  }
  for (const std::string& endpoint : {options.endpoint, options.modelscope.endpoint}) {
    if (net::parse_url(endpoint)) continue;
    base::fail_at(ErrorCode::kInvalidArgument, "endpoint", "not an address (got ",
                  net::shown_url(endpoint), ")");
  }
  if (options.n_connections < 1 || options.n_connections > 16) {
    base::fail_at(ErrorCode::kInvalidArgument, "n_connections",
                  "out of range (expected 1 to 16, got ", options.n_connections, ")");
  }
  if (options.timeout_s < 1) {
    base::fail_at(ErrorCode::kInvalidArgument, "timeout_s",
                  "out of range (expected at least 1, got ", options.timeout_s, ")");
  }
}

HubModel described(const hub::UrlModel& model) {
  return {.id = model.id(),
          .url = model.url,
          .path = model.path.string(),
          .format = "gguf",
          .bytes = model.bytes,
          .changed_ns = model.changed_ns,
          .used_ns = store::last_use_of(model.path),
          .origin = "url"};
}

/// Of all bytes of a snapshot, how many have been read.
class Verifying {
 public:
  Verifying(const hub::Snapshot& snapshot, const ProgressCallback& callback)
      : total_(snapshot.bytes), callback_(callback) {}

  void add(std::int64_t n) {
    done_ += n;
    if (!callback_) return;
    try {
      callback_("verifying", total_ == 0 ? 1.0
                                         : std::min(1.0, static_cast<double>(done_) /
                                                             static_cast<double>(total_)));
    } catch (...) {
      std::throw_with_nested(
          Error(ErrorCode::kCancelled, "progress: verifying was ended", "progress"));
    }
  }

 private:
  std::int64_t total_;
  std::int64_t done_ = 0;
  const ProgressCallback& callback_;
};

hub::Reference require_reference(const std::string& model, const std::string& endpoint) {
  auto reference = hub::parse_reference(model, endpoint);
  if (!reference) {
    base::fail_at(ErrorCode::kInvalidArgument, "model",
                  "no name of a model on a hub (expected owner/name, got ", model.substr(0, 200),
                  ")");
  }
  return std::move(*reference);
}

hub::Asking asking_of(const HubOptions& options, const std::stop_token& stop) {
  hub::Asking asking;
  asking.endpoint = options.endpoint;
  asking.token = options.token;
  asking.timeout_s = options.timeout_s;
  asking.tls.ca_file = options.ca_file;
  asking.stop_token = stop;
  return asking;
}

/// Whom a name is fetched from.
bool is_of_modelscope(const HubOptions& options, const hub::Reference& reference) {
  return reference.hub == hub::HubKind::kModelScope ||
         (reference.hub == hub::HubKind::kAny && options.hub == "modelscope");
}

hub::Asking asking_modelscope(const HubOptions& options, const std::stop_token& stop) {
  hub::Asking asking = asking_of(options, stop);
  asking.endpoint = options.modelscope.endpoint;
  asking.token = options.modelscope.token;
  asking.token_variable = "MODELSCOPE_API_TOKEN";
  asking.token_cookie = "m_session_id";  // older routes know no other way
  return asking;
}

/// Fetches, whatever is there already.
HubModel fetch(const HubOptions& options, const hub::Reference& reference,
               const PullOptions& pulling) {
  hub::FetchOptions fetching;
  fetching.serialisation = pulling.serialisation;
  fetching.download.n_connections = options.n_connections;
  fetching.progress = pulling.progress;
  if (is_of_modelscope(options, reference)) {
    if (pulling.serialisation == "none") {
      base::fail_at(ErrorCode::kUnsupported, "serialisation",
                    "models come without weights from the Hugging Face Hub alone (got none)");
    }
    const hub::ModelScopeCache cache(options.modelscope.cache);
    return hub::described(hub::fetch_from_modelscope(asking_modelscope(options, pulling.stop_token),
                                                     cache, reference, fetching),
                          "modelscope");
  }
  HubModel model = hub::described(hub::fetch(asking_of(options, pulling.stop_token),
                                             hub::Cache(options.cache), reference, fetching));
  hub::remember_name(options.downloads, reference.repo, model.id);
  return model;
}

/// The error of a name that the hub does not know, with those that may have been meant.
[[noreturn]] void fail_unknown(const Hub& hub, const HubOptions& options,
                               const hub::Reference& reference, const Error& error) {
  std::vector<std::string> names = hub::names_here(hub.list());
  if (!is_of_modelscope(options, reference)) {
    for (std::string& name : hub::near_on_hub(asking_of(options, {}), reference.repo))
      names.push_back(std::move(name));
  }
  throw Error(error.code(),
              error.what() + hub::did_you_mean(hub::near_names(reference.repo, names)),
              error.where(), error.reason());
}

HubModel pull_url(const HubOptions& hub_options, const std::string& url,
                  const PullOptions& options) {
  PullProgress now{.file = url.substr(url.rfind('/') + 1)};
  hub::DownloadOptions downloading;
  downloading.n_connections = hub_options.n_connections;
  downloading.on_wait = [&] {
    now.is_waiting = true;
    if (options.progress) options.progress(now);
    now.is_waiting = false;
  };
  downloading.on_size = [&](std::int64_t size) { now.n_bytes_total = size; };
  downloading.on_fetched = [&](std::int64_t n) { now.n_bytes_fetched += n; };
  downloading.on_bytes = [&](std::int64_t n) {
    now.n_bytes += n;
    if (options.progress) options.progress(now);
  };
  return described(hub::UrlModels(hub_options.downloads)
                       .fetch(asking_of(hub_options, options.stop_token), url, downloading));
}

}  // namespace

Hub::Hub(HubOptions options) : options_(completed(std::move(options))) { check(options_); }

std::vector<HubModel> Hub::list() const {
  std::vector<HubModel> models;
  for (const hub::CachedModel& model : hub::Cache(options_.cache).list())
    models.push_back(hub::described(model));
  for (HubModel& model : hub::list_others(options_)) models.push_back(std::move(model));
  for (const hub::UrlModel& model : hub::UrlModels(options_.downloads).list())
    models.push_back(described(model));
  return models;
}

std::optional<HubModel> Hub::find(const std::string& model) const {
  if (hub::is_ollama(model)) return hub::find_ollama(options_, model);
  const auto reference = hub::parse_reference(model, options_.endpoint);
  if (!reference) return std::nullopt;
  if (!reference->url.empty()) {
    const auto found = hub::UrlModels(options_.downloads).find(reference->url);
    return found ? std::optional(described(*found)) : std::nullopt;
  }
  return hub::find_in_caches(options_, *reference);
}

HubModel Hub::pull(const std::string& model, const PullOptions& options) const {
  if (hub::is_ollama(model)) return hub::require_ollama(options_, model);
  const hub::Reference reference = require_reference(model, options_.endpoint);
  if (is_offline() || !reference.url.empty()) {
    if (const auto found = find(model)) return *found;
  }
  if (is_offline()) {
    base::fail_with(
        ErrorCode::kUnavailable, {"model", ErrorReason::kModelNotFound},
        "model: ", net::shown_url(model),
        " is not on this machine, and HF_HUB_OFFLINE, or an option, forbids to fetch it");
  }
  if (!reference.url.empty()) return pull_url(options_, reference.url, options);
  try {
    return fetch(options_, reference, options);
  } catch (const hub::UnknownRepo& error) {
    fail_unknown(*this, options_, reference, error);
  }
}

bool Hub::remove(const std::string& model) const {
  hub::refuse_to_change(options_, model);
  const hub::Reference reference = require_reference(model, options_.endpoint);
  if (!reference.url.empty()) return hub::UrlModels(options_.downloads).remove(reference.url);
  const hub::Cache cache(options_.cache);
  return hub::remove(cache, hub::with_name_of_today(options_.downloads, cache, reference));
}

std::vector<PartialModel> Hub::partial() const {
  return hub::partial_models(hub::Cache(options_.cache));
}

std::vector<DamagedFile> Hub::verify(const std::string& model,
                                     const ProgressCallback& progress) const {
  if (hub::is_ollama(model)) return hub::verify_ollama(options_, model);
  const hub::Reference reference = require_reference(model, options_.endpoint);
  const std::optional<HubModel> found = find(model);
  if (found && (!reference.url.empty() || found->origin != "hub")) return {};
  const hub::Cache cache(options_.cache);
  const auto snapshot =
      cache.snapshot(hub::with_name_of_today(options_.downloads, cache, reference));
  if (!snapshot) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
                    " is not in the cache ", options_.cache);
  }
  Verifying verifying(*snapshot, progress);
  std::vector<DamagedFile> damaged;
  for (const hub::Damage& damage :
       hub::verify(*snapshot, [&](std::int64_t n) { verifying.add(n); }))
    damaged.push_back({damage.path.string(), damage.reason});
  return damaged;
}

std::vector<Leftover> Hub::leftovers() const {
  std::vector<Leftover> found = hub::leftovers(hub::Cache(options_.cache));
  for (Leftover& leftover : hub::url_leftovers(options_.downloads))
    found.push_back(std::move(leftover));
  return found;
}

bool Hub::remove_leftover(const Leftover& leftover) const {
  return hub::remove_leftover(hub::Cache(options_.cache), leftover.path) ||
         hub::remove_url_leftover(options_.downloads, leftover.path);
}

}  // namespace openllm

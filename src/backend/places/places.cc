#include "backend/places/places.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "backend/check_options.h"
#include "backend/places/composite.h"
#include "backend/vllm/probe.h"
#include "base/error.h"
#include "net/url.h"

namespace openllm::backend {
namespace {

constexpr const char* kPlaces = "places";

bool is_local(const std::string& place) { return !is_server_place(place); }

/// As it was given, but for a user's name and password.
std::string shown_place(const std::string& place) {
  const auto url = net::parse_url(place);
  return url && !(url->user.empty() && url->password.empty()) ? net::shown_url(place) : place;
}

const BackendEntry& entry_of(const std::vector<BackendEntry>& entries, const std::string& place) {
  const std::string name = is_local(place) ? place : "vllm";
  for (const BackendEntry& entry : entries) {
    if (entry.name == name) return entry;
  }
  base::fail_at(ErrorCode::kInvalidArgument, kPlaces,
                "no such place (expected native, pt, or a server as http://HOST:PORT; got ", place,
                ")");
}

/// The engine's options say nothing of servers, which have their own.
void clear_engine_options(LoadOptions& options) {
  const LoadOptions initial;
  options.device = initial.device;
  options.n_threads = initial.n_threads;
  options.fast_activations = initial.fast_activations;
  options.max_step_tokens = initial.max_step_tokens;
  options.max_sequences = initial.max_sequences;
  options.max_queue = initial.max_queue;
  options.max_adapters = initial.max_adapters;
  options.kv_cache_bytes = initial.kv_cache_bytes;
  options.kv_dtype = initial.kv_dtype;
  options.kv_block_size = initial.kv_block_size;
  options.prefix_caching = initial.prefix_caching;
  options.max_draft_tokens = initial.max_draft_tokens;
  options.draft_model = initial.draft_model;
  options.dtype = initial.dtype;
  options.trust_remote_code = initial.trust_remote_code;
  options.pt = initial.pt;
}

/// The options for one place: those that are about it.
LoadOptions options_for(const std::string& place, const LoadOptions& options) {
  LoadOptions own = options;
  own.places.clear();
  if (is_local(place)) {
    own.backend = place;
    own.vllm = {};
    if (place != "pt") own.pt = {};
    return own;
  }
  own.backend = "vllm";
  own.vllm.urls = {place};
  if (std::any_of(options.places.begin(), options.places.end(), is_local))
    clear_engine_options(own);
  return own;
}

void check_place(const std::vector<BackendEntry>& entries, const std::string& place) {
  const BackendEntry& entry = entry_of(entries, place);
  if (is_server_place(place)) (void)vllm::checked_url(place);
  if (entry.name == "vllm" && is_local(place)) {
    base::fail_at(ErrorCode::kInvalidArgument, kPlaces,
                  "vllm is a place by its address alone (expected http://HOST:PORT)");
  }
}

void check_places(const std::vector<BackendEntry>& entries, const LoadOptions& options) {
  check_options(options);
  std::set<std::string> seen;
  for (const std::string& place : options.places) {
    check_place(entries, place);
    const std::string name = is_local(place) ? place : vllm::checked_url(place);
    if (!seen.insert(name).second) {
      base::fail_at(ErrorCode::kInvalidArgument, kPlaces, "has ", shown_place(place), " twice");
    }
  }
}

std::optional<Refusal> ask(const BackendEntry& entry, const format::ModelSource& source,
                           const LoadOptions& options) {
  if (!entry.available) return Refusal{ErrorCode::kUnavailable, entry.reason};
  try {
    if (entry.name != "vllm") refuse_options_of_others(options);
    return entry.supports(source, options);
  } catch (const Error& error) {
    return error;
  }
}

/// nullopt when one at least may run the model. One at a server may be away for now.
std::optional<Refusal> supports(const std::vector<BackendEntry>& entries,
                                const format::ModelSource& source, const LoadOptions& options) {
  try {
    check_places(entries, options);
    std::optional<Refusal> first;
    for (const std::string& place : options.places) {
      auto refusal = ask(entry_of(entries, place), source, options_for(place, options));
      if (!refusal) return std::nullopt;
      if (!first) first = std::move(refusal);
    }
    return first;
  } catch (const Error& error) {
    return error;
  }
}

ModelFacts describe(const std::vector<BackendEntry>& entries, const format::ModelSource& source,
                    const LoadOptions& options) {
  for (const std::string& place : options.places) {
    const BackendEntry& entry = entry_of(entries, place);
    const LoadOptions own = options_for(place, options);
    if (!ask(entry, source, own)) return entry.describe(source, own);
  }
  throw *supports(entries, source, options);
}

std::unique_ptr<Backend> load_place(const BackendEntry& entry, const format::ModelSource& source,
                                    const LoadOptions& options) {
  if (const auto refusal = ask(entry, source, options)) throw *refusal;
  return entry.load(source, options);
}

std::unique_ptr<Backend> load(const std::vector<BackendEntry>& entries,
                              const format::ModelSource& source, const LoadOptions& options) {
  check_places(entries, options);
  // Servers may be taken in later, when neither the source nor the caller's progress is there.
  const auto kept = std::make_shared<const format::ModelSource>(source);
  std::vector<places::PlaceSource> sources;
  for (const std::string& place : options.places) {
    const BackendEntry& entry = entry_of(entries, place);
    places::PlaceSource one{.name = shown_place(place)};
    LoadOptions own = options_for(place, options);
    if (is_server_place(place)) {
      one.url = vllm::checked_url(place);
      own.progress = {};
    }
    one.load = [entry, kept, own] { return load_place(entry, *kept, own); };
    sources.push_back(std::move(one));
  }
  return places::make_composite(std::move(sources), options.vllm.api_key);
}

}  // namespace

bool is_server_place(const std::string& place) noexcept {
  return place.find("://") != std::string::npos;
}

BackendEntry places_backend(std::vector<BackendEntry> entries) {
  const auto shared = std::make_shared<const std::vector<BackendEntry>>(std::move(entries));
  BackendEntry entry{.name = kPlaces, .available = true, .reason = "several places as one"};
  entry.supports = [shared](const format::ModelSource& source, const LoadOptions& options) {
    return supports(*shared, source, options);
  };
  entry.describe = [shared](const format::ModelSource& source, const LoadOptions& options) {
    return describe(*shared, source, options);
  };
  entry.load = [shared](const format::ModelSource& source, const LoadOptions& options) {
    return load(*shared, source, options);
  };
  return entry;
}

std::vector<PlaceAnswer> ask_places(const std::vector<BackendEntry>& entries,
                                    const format::ModelSource& source, const LoadOptions& options) {
  check_places(entries, options);
  std::vector<PlaceAnswer> answers;
  for (const std::string& place : options.places) {
    const BackendEntry& entry = entry_of(entries, place);
    LoadOptions own = options_for(place, options);
    if (is_server_place(place)) own.backend.clear();  // one that was asked for may be away
    answers.push_back({shown_place(place), entry.reason, ask(entry, source, own)});
  }
  return answers;
}

}  // namespace openllm::backend

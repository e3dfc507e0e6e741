#pragma once

#include <optional>
#include <string>

#include "openllm/hub.h"
#include "openllm/options.h"
#include "openllm/store.h"

namespace openllm::llm {

/// The store, and the hub, unless the environment says nothing about where it, or its cache, is.
std::optional<ModelStore> find_store();
std::optional<Hub> find_hub();
/// A hub's model, or another program's, as an entry beside the store's.
StoredModel stored(const HubModel& model);

/// What the caches of hubs, and other programs, have of a model that is named as on a hub. Nothing
/// when the name is none of a hub, or nothing says where the cache is.
std::optional<StoredModel> find_cached(const std::string& name);
/// What the Hugging Face cache has of a model without its weights.
std::optional<StoredModel> find_texts(const std::string& name);
/// The same by its tag, "<backend>-<name>:<commit>".
std::optional<StoredModel> find_cached_tag(const std::string& tag);

/// A name that a hub may have, and that is worth asking one for: with an owner, or an address.
bool is_hub_name(const std::string& name);

/// Why a model may not be fetched now; empty: it may.
std::string reason_not_to_fetch(bool ensure_available, bool offline);

/// A callback for a download that tells of it as a stage of loading, "fetching ...".
PullCallback as_stages(const ProgressCallback& progress);
/// Fetches it. Nothing, and why, where no hub can be reached; throws as Hub::pull.
std::optional<StoredModel> fetch_from_hub(const std::string& name, const PullOptions& options,
                                          std::string& reason);

/// "; did you mean a or b?", of what is on this machine and the names of families; empty when none
/// is near.
std::string note_near_names(const std::string& name);

/// Where the cache is, for messages; empty when nothing says so.
std::string hub_cache_folder();

}  // namespace openllm::llm

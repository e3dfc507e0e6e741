#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/cache.h"
#include "hub/other_model.h"
#include "openllm/hub.h"

// Models that programs beside huggingface_hub keep on this machine, for Hub.
namespace openllm::hub {

HubModel described(const CachedModel& model);
HubModel described(const OtherModel& model, const std::string& origin);

/// What the caches have of a reference that is no address: the Hugging Face cache, ModelScope's (or
/// the other way round where that is the hub that is asked), llama.cpp's.
std::optional<HubModel> find_in_caches(const HubOptions& options, const Reference& reference);
/// All that lies outside of the Hugging Face cache, but what came from addresses.
std::vector<HubModel> list_others(const HubOptions& options);
/// Throws kUnsupported, with what to do instead, when `model` is what another program keeps.
void refuse_to_change(const HubOptions& options, const std::string& model);

/// A name of one of Ollama's models.
bool is_ollama(const std::string& model) noexcept;
std::optional<HubModel> find_ollama(const HubOptions& options, const std::string& model);
/// Throws kNotFound, with the names that may have been meant.
HubModel require_ollama(const HubOptions& options, const std::string& model);
/// Compares the file with its digest. Throws as `require_ollama`.
std::vector<DamagedFile> verify_ollama(const HubOptions& options, const std::string& model);

}  // namespace openllm::hub

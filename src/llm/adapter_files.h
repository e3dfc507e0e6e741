#pragma once

#include <string>

#include "openllm/options.h"

namespace openllm::llm {

/// Where an adapter's files are on this machine: a path as it is, else what the cache of a hub has
/// of that name, else what is fetched from there. Throws kNotFound where "adapters", and why it
/// cannot be fetched.
std::string find_adapter_files(const std::string& id, const LoadOptions& options);

}  // namespace openllm::llm

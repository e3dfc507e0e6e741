#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/places/roster.h"

namespace openllm::backend::places {

/// The places as one backend. Loads each; those that cannot load are kept as reasons, but for what
/// is no matter of a place (damaged files, wrong options), which is thrown. Servers among them are
/// asked for every two seconds, and taken in when they are there. Throws when no place loads.
/// `api_key`: of the servers.
std::unique_ptr<Backend> make_composite(std::vector<PlaceSource> sources,
                                        const std::string& api_key);

}  // namespace openllm::backend::places

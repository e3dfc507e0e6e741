#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "hub/request.h"
#include "openllm/hub.h"

namespace openllm::hub {

/// Names that somebody can write: of the models in the store, of `models`, and of families.
std::vector<std::string> names_here(const std::vector<HubModel>& models);

/// Those of `names` that somebody may have meant by `wanted`, the nearest first, at most three.
/// What stands before a slash or a colon may be missing, or be another.
std::vector<std::string> near_names(const std::string& wanted,
                                    const std::vector<std::string>& names);

/// What the hub itself has that is near: one request,
/// `GET /api/models?search=WORD&limit=50`, that ends after `limit`. Nothing when it fails.
std::vector<std::string> near_on_hub(const Asking& asking, const std::string& wanted,
                                     std::chrono::milliseconds limit = std::chrono::seconds(3));

/// The names in the hub's answer to a search. Throws kInvalidArgument.
std::vector<std::string> parse_search(const std::string& body);

/// "; did you mean a, b or c?"; empty for no names.
std::string did_you_mean(const std::vector<std::string>& names);

}  // namespace openllm::hub

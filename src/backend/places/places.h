#pragma once

#include <vector>

#include "backend/registry.h"

namespace openllm::backend {

/// Whether LoadOptions::places has this one at a server.
bool is_server_place(const std::string& place) noexcept;

/// The backend of LoadOptions::places, made of `entries`: "vllm" runs what is at servers, the
/// others run under their names. The entry is no row of `backends`: it is there where places are
/// named.
BackendEntry places_backend(std::vector<BackendEntry> entries);

/// What each of LoadOptions::places says of the model now; nothing is loaded.
struct PlaceAnswer {
  std::string name{};
  std::string what{};
  std::optional<Refusal> refusal{};
};
std::vector<PlaceAnswer> ask_places(const std::vector<BackendEntry>& entries,
                                    const format::ModelSource& source, const LoadOptions& options);

}  // namespace openllm::backend

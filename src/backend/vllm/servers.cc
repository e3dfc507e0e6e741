#include "backend/vllm/servers.h"

#include <utility>

namespace openllm::backend::vllm {

Servers::Servers(std::vector<Server> servers) {
  for (Server& server : servers) places_.push_back({std::move(server)});
}

std::optional<std::size_t> Servers::choose(std::span<const std::int32_t> prompt,
                                           const std::set<std::size_t>& tried) {
  std::vector<PlaceLoad> loads;
  loads.reserve(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i)
    loads.push_back({.is_well = is_healthy(i), .n_open = places_[i].n_calls});
  return choose_place(loads, memory_, prompt, 1, tried);
}

int Servers::tell_health(std::size_t index, bool is_healthy) {
  Place& place = places_[index];
  place.n_failures = is_healthy ? 0 : place.n_failures + 1;
  return place.n_failures;
}

}  // namespace openllm::backend::vllm

#include "backend/vllm/servers.h"

#include <algorithm>
#include <utility>

namespace openllm::backend::vllm {

bool Server::has(const AdapterChoice& adapter) const {
  return (is_ours || !adapter.is_sum) &&
         std::all_of(adapter.names.begin(), adapter.names.end(),
                     [&](const std::string& name) { return adapters.contains(name); });
}

Servers::Servers(std::vector<Server> servers) {
  for (Server& server : servers) places_.push_back({std::move(server)});
}

bool Servers::may_take(std::size_t index, const std::set<std::size_t>& tried,
                       const AdapterChoice& adapter) const {
  return !tried.contains(index) && places_[index].server.has(adapter);
}

bool Servers::has_other(const std::set<std::size_t>& tried, const AdapterChoice& adapter) const {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (may_take(i, tried, adapter)) return true;
  }
  return false;
}

std::optional<std::size_t> Servers::choose(std::span<const std::int32_t> prompt,
                                           const std::set<std::size_t>& tried,
                                           const AdapterChoice& adapter) {
  std::vector<PlaceLoad> loads;
  std::set<std::size_t> excluded;
  loads.reserve(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    loads.push_back({.is_well = is_healthy(i), .n_open = places_[i].n_calls});
    if (!may_take(i, tried, adapter)) excluded.insert(i);
  }
  return choose_place(loads, memory_, PrefixMemory::key_of(prompt, adapter.text), 1, excluded);
}

int Servers::tell_health(std::size_t index, bool is_healthy) {
  Place& place = places_[index];
  place.n_failures = is_healthy ? 0 : place.n_failures + 1;
  return place.n_failures;
}

}  // namespace openllm::backend::vllm

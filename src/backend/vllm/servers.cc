#include "backend/vllm/servers.h"

#include <algorithm>
#include <utility>

namespace openllm::backend::vllm {
namespace {

constexpr std::size_t kPrefixTokens = 32;      ///< What prompts have in common, at least.
constexpr std::size_t kMaxPrefixes = 1 << 16;  ///< Then they are forgotten.
/// A cached prefix is worth a queue that is so much longer.
constexpr int kAffinitySlack = 4;

/// What is cached of a prompt is its adapter's.
std::uint64_t hash_of(std::span<const std::int32_t> prompt, const std::string& adapter) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  const auto add = [&](std::uint32_t value) {
    hash ^= value;
    hash *= 0x100000001B3U;
  };
  for (const char c : adapter) add(static_cast<unsigned char>(c));
  for (const std::int32_t id : prompt.first(std::min(prompt.size(), kPrefixTokens)))
    add(static_cast<std::uint32_t>(id));
  return hash;
}

}  // namespace

Servers::Servers(std::vector<Server> servers) {
  for (Server& server : servers) places_.push_back({std::move(server)});
}

bool Servers::may_take(std::size_t index, const std::set<std::size_t>& tried,
                       const std::string& adapter) const {
  return !tried.contains(index) &&
         (adapter.empty() || places_[index].server.adapters.contains(adapter));
}

bool Servers::has_other(const std::set<std::size_t>& tried, const std::string& adapter) const {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (may_take(i, tried, adapter)) return true;
  }
  return false;
}

std::optional<std::size_t> Servers::choose(std::span<const std::int32_t> prompt,
                                           const std::set<std::size_t>& tried,
                                           const std::string& adapter) {
  std::optional<std::size_t> best;
  const auto rank = [&](std::size_t i) { return std::pair(!is_healthy(i), places_[i].n_calls); };
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (may_take(i, tried, adapter) && (!best || rank(i) < rank(*best))) best = i;
  }
  if (!best || places_.size() == 1) return best;
  const std::uint64_t hash = hash_of(prompt, adapter);
  const auto last = last_.find(hash);
  if (last != last_.end() && may_take(last->second, tried, adapter) && is_healthy(last->second) &&
      n_calls(last->second) <= n_calls(*best) + kAffinitySlack) {
    best = last->second;
  }
  if (last_.size() >= kMaxPrefixes) last_.clear();
  last_[hash] = *best;
  return best;
}

int Servers::tell_health(std::size_t index, bool is_healthy) {
  Place& place = places_[index];
  place.n_failures = is_healthy ? 0 : place.n_failures + 1;
  return place.n_failures;
}

}  // namespace openllm::backend::vllm

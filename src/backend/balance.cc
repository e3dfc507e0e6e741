#include "backend/balance.h"

#include <algorithm>
#include <tuple>

namespace openllm::backend {
namespace {

constexpr std::size_t kPrefixTokens = 32;
/// A cached prefix is worth a queue that is so much longer.
constexpr int kAffinitySlack = 4;

/// The time of a token where it is not known.
double usual_token_s(std::span<const PlaceLoad> places) {
  double least = 0.0;
  for (const PlaceLoad& place : places) {
    if (place.token_s > 0.0 && (least == 0.0 || place.token_s < least)) least = place.token_s;
  }
  return least > 0.0 ? least : 1.0;
}

/// How places rank for the same request: lower is better.
class Ranking {
 public:
  Ranking(std::span<const PlaceLoad> places, int n_choices)
      : places_(places), n_choices_(n_choices), usual_token_s_(usual_token_s(places)) {}

  std::tuple<bool, bool, double> of(std::size_t i) const {
    return {!places_[i].is_well, would_wait(i), cost(i, places_[i].n_open)};
  }
  /// Whether `last`, which may have the prefix, is worth as much as `best`.
  bool stays(std::size_t last, std::size_t best) const {
    if (!places_[last].is_well || (would_wait(last) && !would_wait(best))) return false;
    return cost(last, places_[last].n_open) <= cost(best, places_[best].n_open + kAffinitySlack);
  }

 private:
  bool would_wait(std::size_t i) const {
    const PlaceLoad& place = places_[i];
    return place.n_slots > 0 && place.n_open + n_choices_ > place.n_slots;
  }
  double cost(std::size_t i, int n_before) const {
    const double token_s = places_[i].token_s > 0.0 ? places_[i].token_s : usual_token_s_;
    return token_s * (n_before + n_choices_);
  }

  std::span<const PlaceLoad> places_;
  int n_choices_;
  double usual_token_s_;
};

}  // namespace

std::uint64_t PrefixMemory::key_of(std::span<const std::int32_t> prompt, std::string_view adapter) {
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

std::optional<std::size_t> PrefixMemory::find(std::uint64_t key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  return found->second->second;
}

void PrefixMemory::note(std::uint64_t key, std::size_t place) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    found->second->second = place;
    entries_.splice(entries_.begin(), entries_, found->second);
    return;
  }
  entries_.emplace_front(key, place);
  by_key_[key] = entries_.begin();
  if (entries_.size() <= max_size_) return;
  by_key_.erase(entries_.back().first);
  entries_.pop_back();
}

std::optional<std::size_t> choose_place(std::span<const PlaceLoad> places, PrefixMemory& memory,
                                        std::uint64_t key, int n_choices,
                                        const std::set<std::size_t>& excluded) {
  const Ranking ranking(places, n_choices);
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!excluded.contains(i) && (!best || ranking.of(i) < ranking.of(*best))) best = i;
  }
  if (!best || places.size() == 1) return best;
  const auto last = memory.find(key);
  if (last && *last < places.size() && !excluded.contains(*last) && ranking.stays(*last, *best))
    best = last;
  memory.note(key, *best);
  return best;
}

}  // namespace openllm::backend

#include "base/rng.h"
#include "sampling/sampler.h"

namespace openllm::sampling {

TokenCounts::Entry& TokenCounts::entry(std::int32_t token) {
  if (index_.size() < 2 * (entries_.size() + 1)) {
    index_.assign(index_.empty() ? 64 : 2 * index_.size(), {-1, -1});
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::size_t slot =
          base::mix64(static_cast<std::uint64_t>(entries_[i].token)) & (index_.size() - 1);
      while (index_[slot].second >= 0) slot = (slot + 1) & (index_.size() - 1);
      index_[slot] = {entries_[i].token, static_cast<std::int32_t>(i)};
    }
  }
  std::size_t slot = base::mix64(static_cast<std::uint64_t>(token)) & (index_.size() - 1);
  while (index_[slot].second >= 0) {
    if (index_[slot].first == token) return entries_[static_cast<std::size_t>(index_[slot].second)];
    slot = (slot + 1) & (index_.size() - 1);
  }
  index_[slot] = {token, static_cast<std::int32_t>(entries_.size())};
  entries_.push_back({token, 0, 0});
  return entries_.back();
}

void TokenCounts::add_prompt(std::span<const std::int32_t> tokens) {
  for (const std::int32_t token : tokens) ++entry(token).in_prompt;
}

void TokenCounts::add_output(std::int32_t token) { ++entry(token).in_output; }

}  // namespace openllm::sampling

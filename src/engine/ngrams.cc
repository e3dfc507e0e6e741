#include "engine/ngrams.h"

#include <algorithm>

#include "base/rng.h"

namespace openllm::engine {
namespace {

constexpr std::size_t kLeastPlaces = 256;

std::span<const std::int32_t> before(std::span<const std::int32_t> tokens, std::size_t end) {
  return tokens.subspan(end - Ngrams::kLength, Ngrams::kLength);
}

std::size_t hash(std::span<const std::int32_t> gram) {
  std::uint64_t h = 0;
  for (const std::int32_t token : gram) h = base::mix64(h ^ static_cast<std::uint32_t>(token));
  return static_cast<std::size_t>(h);
}

}  // namespace

/// Index of the place of the tokens before `end`, or of the free one where they would be.
std::size_t Ngrams::find(std::span<const std::int32_t> tokens, std::size_t end) const {
  const auto gram = before(tokens, end);
  std::size_t place = hash(gram) & (places_.size() - 1);
  while (places_[place] != 0) {
    const auto other = before(tokens, static_cast<std::size_t>(places_[place] - 1));
    if (std::equal(gram.begin(), gram.end(), other.begin())) break;
    place = (place + 1) & (places_.size() - 1);
  }
  return place;
}

void Ngrams::add_until(std::span<const std::int32_t> tokens, std::size_t end) {
  n_added_ = std::max(n_added_, kLength);
  if (n_added_ >= end) return;
  const std::size_t n_most = n_used_ + end - n_added_;
  if (places_.size() < 2 * n_most) {
    std::size_t size = std::max(places_.size(), kLeastPlaces);
    while (size < 4 * n_most) size *= 2;
    std::vector<std::int32_t> old(size);
    std::swap(old, places_);
    for (const std::int32_t position : old) {
      if (position != 0) places_[find(tokens, static_cast<std::size_t>(position - 1))] = position;
    }
  }
  for (; n_added_ < end; ++n_added_) {
    std::int32_t& position = places_[find(tokens, n_added_)];
    if (position == 0) ++n_used_;
    position = static_cast<std::int32_t>(n_added_ + 1);
  }
}

void Ngrams::propose(std::span<const std::int32_t> tokens, int n, std::vector<std::int32_t>& out) {
  out.clear();
  if (tokens.size() <= kLength || n <= 0) return;
  add_until(tokens, tokens.size());  // without the end itself, which nothing follows yet
  const std::int32_t found = places_[find(tokens, tokens.size())];
  if (found == 0) return;
  const auto from = static_cast<std::size_t>(found - 1);
  // What reaches the end goes on with what was proposed: a repetition goes on.
  for (std::size_t i = from; out.size() < static_cast<std::size_t>(n); ++i)
    out.push_back(i < tokens.size() ? tokens[i] : out[i - tokens.size()]);
}

}  // namespace openllm::engine

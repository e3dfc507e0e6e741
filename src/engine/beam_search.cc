#include "engine/beam_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace openllm::engine {

BeamSearch::BeamSearch(const BeamOptions& options, std::vector<std::int32_t> end_ids, int max_new)
    : options_(options),
      end_ids_(std::move(end_ids)),
      max_new_(max_new),
      group_size_(static_cast<std::size_t>(options.n_beams / options.n_groups)),
      groups_(static_cast<std::size_t>(options.n_groups)) {
  std::sort(end_ids_.begin(), end_ids_.end());
  for (Group& group : groups_) group.running.emplace_back();
}

std::size_t BeamSearch::n_expansions() const noexcept {
  const std::size_t ranked = std::max<std::size_t>(2, 1 + end_ids_.size()) * group_size_;
  // As many tokens of a beam as there are beams may have been lowered.
  return ranked + (groups_.size() > 1 ? static_cast<std::size_t>(options_.n_beams) : 0);
}

std::size_t BeamSearch::n_running() const noexcept {
  if (length_ == 0) return 1;
  return next_.size();
}

bool BeamSearch::is_end(std::int32_t token) const noexcept {
  return std::binary_search(end_ids_.begin(), end_ids_.end(), token);
}

bool BeamSearch::is_over() const noexcept {
  return std::all_of(groups_.begin(), groups_.end(),
                     [](const Group& group) { return group.is_over; });
}

bool BeamSearch::ends_with_end(const BeamText& text) const noexcept {
  return !text.tokens.empty() && is_end(text.tokens.back().token);
}

float BeamSearch::ranked(float score, int length) const noexcept {
  return static_cast<float>(
      static_cast<double>(score) /
      std::pow(static_cast<double>(length), static_cast<double>(options_.length_penalty)));
}

/// The best continuations of a group's beams, falling; ties to the better beam and the lower id.
std::vector<BeamSearch::Candidate> BeamSearch::rank(
    const Group& group, std::span<const BeamExpansions> expansions) const {
  std::vector<Candidate> all;
  for (const Running& beam : group.running) {
    const BeamExpansions& own = expansions[static_cast<std::size_t>(beam.index)];
    for (const sampling::Expansion& expansion : own.tokens) {
      const auto n_taken = std::count(taken_.begin(), taken_.end(), expansion.token);
      const float score =
          expansion.score - options_.diversity_penalty * static_cast<float>(n_taken);
      all.push_back({beam.text.score + score, &beam, &expansion, &own,
                     length_ + 1 >= max_new_ || is_end(expansion.token)});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  const std::size_t n = std::max<std::size_t>(2, 1 + end_ids_.size()) * group_size_;
  if (all.size() > n) all.resize(n);
  return all;
}

BeamText BeamSearch::extended(const Candidate& candidate) {
  BeamText text;
  const std::vector<TokenEvent>& before = candidate.parent->text.tokens;
  text.tokens.reserve(before.size() + 1);
  text.tokens = before;
  text.tokens.push_back(
      {candidate.expansion->token, candidate.expansion->logprob, candidate.of_parent->top});
  text.score = candidate.score;
  return text;
}

/// Keeps those that end, if they are among the first, and better than what is finished.
void BeamSearch::finish(Group& group, std::span<const Candidate> candidates) const {
  for (const Candidate& candidate : candidates.first(std::min(candidates.size(), group_size_))) {
    if (!candidate.ends) continue;
    const float score = ranked(candidate.score, length_ + 1);
    const bool is_full = group.finished.size() >= group_size_;
    if (is_full && score <= group.finished.back().score) continue;
    BeamText text = extended(candidate);
    text.score = score;
    const auto place =
        std::upper_bound(group.finished.begin(), group.finished.end(), score,
                         [](float value, const BeamText& other) { return value > other.score; });
    group.finished.insert(place, std::move(text));
    if (is_full) group.finished.pop_back();
  }
}

void BeamSearch::run_on(Group& group, std::span<const Candidate> candidates) {
  std::vector<Running> running;
  for (const Candidate& candidate : candidates) {
    if (candidate.ends || running.size() >= group_size_) continue;
    running.push_back({extended(candidate), static_cast<int>(next_.size())});
    next_.push_back({candidate.parent->index, candidate.expansion->token});
    taken_.push_back(candidate.expansion->token);
  }
  group.running = std::move(running);
}

/// Whether the best running beam may still get better than the worst finished one, for a length
/// that transformers guesses.
bool BeamSearch::can_improve(const Group& group) const noexcept {
  if (group.running.empty()) return false;
  if (group.finished.size() < group_size_) return true;
  const bool looks_ahead =
      options_.stopping == BeamOptions::Stopping::kWhenSure && options_.length_penalty > 0.0F;
  const float best = ranked(group.running.front().text.score, looks_ahead ? max_new_ : length_);
  return best > group.finished.back().score;
}

void BeamSearch::advance(std::span<const BeamExpansions> expansions) {
  next_.clear();
  taken_.clear();
  const auto before = groups_;  // candidates point into it
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    if (group.is_over) continue;
    const std::vector<Candidate> candidates = rank(before[g], expansions);
    finish(group, candidates);
    run_on(group, candidates);
  }
  ++length_;
  for (Group& group : groups_) {
    if (group.is_over) continue;
    const bool is_full = group.finished.size() >= group_size_;
    group.is_over =
        !can_improve(group) || (is_full && options_.stopping == BeamOptions::Stopping::kWhenFull);
  }
  drop_over();
}

/// Takes the beams of groups that are over out of those that run.
void BeamSearch::drop_over() {
  std::vector<NextBeam> kept;
  for (Group& group : groups_) {
    if (group.is_over) continue;
    for (Running& beam : group.running) {
      kept.push_back(next_[static_cast<std::size_t>(beam.index)]);
      beam.index = static_cast<int>(kept.size()) - 1;
    }
  }
  next_ = std::move(kept);
}

std::vector<BeamText> BeamSearch::best(std::size_t n, bool with_running) const {
  std::vector<BeamText> texts;
  const auto better = [](const BeamText& a, const BeamText& b) { return a.score > b.score; };
  for (const Group& group : groups_)
    texts.insert(texts.end(), group.finished.begin(), group.finished.end());
  std::stable_sort(texts.begin(), texts.end(), better);
  if (with_running && texts.size() < n) {
    std::vector<BeamText> running;
    for (const Group& group : groups_) {
      for (const Running& beam : group.running) {
        if (beam.text.tokens.empty()) continue;
        running.push_back(beam.text);
        running.back().score = ranked(beam.text.score, length_);
      }
    }
    std::stable_sort(running.begin(), running.end(), better);
    texts.insert(texts.end(), running.begin(), running.end());
  }
  if (texts.size() > n) texts.resize(n);
  return texts;
}

}  // namespace openllm::engine

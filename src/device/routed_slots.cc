#include "device/routed_slots.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace openllm::device {
namespace {

/// Scores of all experts in place, as Hugging Face's routers compute them.
void apply_score(RouterSpec::Score kind, float* scores, int n) noexcept {
  if (kind == RouterSpec::Score::kSigmoid) {
    for (int e = 0; e < n; ++e) scores[e] = 1.0F / (1.0F + std::exp(-scores[e]));
    return;
  }
  const float best = *std::max_element(scores, scores + n);
  float sum = 0.0F;
  for (int e = 0; e < n; ++e) sum += scores[e] = std::exp(scores[e] - best);
  for (int e = 0; e < n; ++e) scores[e] /= sum;
}

/// The best of a group, or its two best together.
float group_rank(RouterSpec::GroupScore kind, const float* ranks, int n) noexcept {
  const float* best = std::max_element(ranks, ranks + n);
  if (kind == RouterSpec::GroupScore::kBest || n < 2) return *best;
  float second = -std::numeric_limits<float>::infinity();
  for (const float* rank = ranks; rank != ranks + n; ++rank) {
    if (rank != best) second = std::max(second, *rank);
  }
  return *best + second;
}

/// The best score's share among those near to it; the others' ranks are as they were.
float share_of_best(const float* scores, const float* ranks, int n, int best,
                    float jitter) noexcept {
  const float top = ranks[best];
  float sum = 0.0F;
  for (int e = 0; e < n; ++e) {
    const bool is_far = (top - scores[e]) / std::max(std::abs(scores[e]), top) > 2.0F * jitter;
    if (!is_far) sum += std::exp(ranks[e] - top);
  }
  return 1.0F / sum;
}

}  // namespace

void RoutedSlots::resize(std::int64_t n_rows) {
  const auto rows = static_cast<std::size_t>(n_rows);
  const auto experts = static_cast<std::size_t>(spec_.n_experts);
  floats_.resize(rows * experts * 3);
  orders_.resize(rows * experts);
  choices_.resize(rows * static_cast<std::size_t>(spec_.top_k));
}

RoutedSlots::Space RoutedSlots::space(std::int64_t t) {
  const std::int64_t n = spec_.n_experts;
  float* floats = floats_.data() + 3 * t * n;
  return {floats, floats + n, floats + 2 * n, orders_.data() + t * n};
}

/// Ranks outside the best groups become -inf.
void RoutedSlots::exclude_groups(const Space& space) const {
  const int size = spec_.n_experts / spec_.n_groups;
  int* const order = space.order;
  for (int g = 0; g < spec_.n_groups; ++g) {
    space.group_ranks[g] = group_rank(spec_.group_score, space.ranks + g * size, size);
    order[g] = g;
  }
  std::sort(order, order + spec_.n_groups, [&](int a, int b) {
    const float* rank = space.group_ranks;
    return rank[a] != rank[b] ? rank[a] > rank[b] : a < b;
  });
  for (int i = spec_.top_groups; i < spec_.n_groups; ++i) {
    std::fill_n(space.ranks + order[i] * size, size, -std::numeric_limits<float>::infinity());
  }
}

void RoutedSlots::choose_near(std::int64_t t, const float* scores) noexcept {
  const int n = spec_.n_experts;
  float* const ranks = space(t).ranks;
  std::copy_n(scores, n, ranks);
  Choice* const choices = choices_.data() + t * spec_.top_k;
  for (int i = 0; i < spec_.top_k; ++i) {
    const int best = static_cast<int>(std::max_element(ranks, ranks + n) - ranks);
    choices[i] = {best, share_of_best(scores, ranks, n, best, spec_.jitter) * spec_.scale};
    ranks[best] = -std::numeric_limits<float>::infinity();
  }
  std::sort(choices, choices + spec_.top_k,
            [](const Choice& a, const Choice& b) { return a.expert < b.expert; });
}

void RoutedSlots::choose(std::int64_t t, const float* scores, const float* bias) noexcept {
  if (spec_.score == RouterSpec::Score::kSparseMixer) {
    choose_near(t, scores);
    return;
  }
  const int n = spec_.n_experts;
  const Space s = space(t);
  std::copy_n(scores, n, s.scores);
  apply_score(spec_.score, s.scores, n);
  for (int e = 0; e < n; ++e) {
    const float score = spec_.chooses_raw ? scores[e] : s.scores[e];
    const float rank = score + (bias == nullptr ? 0.0F : bias[e]);
    // NaN has no place in an order; its weight remains NaN.
    s.ranks[e] = std::isnan(rank) ? -std::numeric_limits<float>::infinity() : rank;
  }
  if (spec_.n_groups > 1) exclude_groups(s);

  std::iota(s.order, s.order + n, 0);
  int* const chosen_end = s.order + spec_.top_k;
  std::partial_sort(s.order, chosen_end, s.order + n, [&](int a, int b) {
    return s.ranks[a] != s.ranks[b] ? s.ranks[a] > s.ranks[b] : a < b;
  });
  float sum = 0.0F;
  for (const int* expert = s.order; expert != chosen_end; ++expert) sum += s.scores[*expert];
  const float factor = spec_.normalise ? spec_.scale / sum : spec_.scale;
  std::sort(s.order, chosen_end);
  for (int i = 0; i < spec_.top_k; ++i) {
    const int expert = s.order[i];
    const float gain = spec_.gains.empty() ? 1.0F : spec_.gains[static_cast<std::size_t>(expert)];
    choices_[static_cast<std::size_t>(t * spec_.top_k + i)] = {expert,
                                                               s.scores[expert] * factor * gain};
  }
}

LinearDelta RoutedSlots::of_slots(const ExpertDelta& delta) const {
  LinearDelta own = delta.delta;
  const auto first = row_of_.begin() + begin(delta.expert);
  const auto end = row_of_.begin() + begin(delta.expert + 1);
  const auto from = std::lower_bound(first, end, own.first_row);
  const auto to = std::lower_bound(from, end, own.first_row + own.n_rows);
  own.first_row = from - row_of_.begin();
  own.n_rows = to - from;
  return own;
}

void RoutedSlots::sort() {
  begin_.assign(static_cast<std::size_t>(spec_.n_experts) + 1, 0);
  for (const Choice& choice : choices_) ++begin_[static_cast<std::size_t>(choice.expert) + 1];
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  std::vector<std::int64_t> next(begin_.begin(), begin_.end() - 1);
  row_of_.resize(choices_.size());
  slots_.resize(choices_.size());
  if (spec_.weighs_input) input_weights_.resize(choices_.size());
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const std::int64_t slot = next[static_cast<std::size_t>(choices_[i].expert)]++;
    row_of_[static_cast<std::size_t>(slot)] = static_cast<std::int64_t>(i) / spec_.top_k;
    slots_[i] = {slot, spec_.weighs_input ? 1.0F : choices_[i].weight};
    if (spec_.weighs_input) input_weights_[static_cast<std::size_t>(slot)] = choices_[i].weight;
  }
}

}  // namespace openllm::device

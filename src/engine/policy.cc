#include "engine/policy.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace openllm::engine {
namespace {

// A step beside decodes takes at most this many times the step without prompts.
constexpr double kMostStretch = 2.5;
// A step of one prompt alone, and one that more prompts than streams wait for.
constexpr double kLongStepS = 0.15;
// A step of several prompts alone: a short one waits for the step before and for its own.
constexpr double kSharedStepS = 0.1;
// Rows over all prompts before anything has been measured.
constexpr int kFirstRows = 32;
// Fewest rows for each part of the time.
constexpr int kLeastRows = 2;

bool is_decode(const Candidate& c) noexcept {
  return c.n_remaining == 1 && c.n_source == 0 && c.report_begin >= c.report_end && !c.is_whole;
}

int count_reports(const Candidate& c, int n_rows) noexcept {
  return std::max(0, std::min(n_rows, c.report_end) - c.report_begin);
}

/// The longest chunk of at most `n` rows whose output rows `budget` has room for; 0 when there is
/// none.
int fit_outputs(const Candidate& c, int n, int output_rows) noexcept {
  if (count_output_rows(c, n) <= output_rows) return n;
  n = std::min(n, c.n_remaining - 1);
  if (count_reports(c, n) > output_rows) n = c.report_begin + output_rows;
  return n;
}

/// Keys that rows [from, to) of a candidate attend to.
double keys_of(const Candidate& c, int from, int to) noexcept {
  const double n = to - from;
  return n * (c.n_past + from + 1) + n * (n - 1) / 2;
}

/// Every row of a source attends to all of it.
double keys_of_source(int n) noexcept { return static_cast<double>(n) * n; }

/// Hands out the rows of a step. Time is counted for the rows of prompts alone.
class Planner {
 public:
  Planner(std::span<const Candidate> candidates, Budget budget, const StepCosts& costs)
      : candidates_(candidates), budget_(budget), costs_(costs), rows_(candidates.size(), 0) {}

  void give_decodes() {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& c = candidates_[i];
      if (!is_decode(c)) {
        prompts_.push_back(i);
        continue;
      }
      if (give(i, 1) == 0) continue;
      add_to_shape(c, 1, decodes_);
    }
  }

  void give_prompts() {
    const bool has_decodes = decodes_.decode_rows > 0;
    if (prompts_.empty() || (has_decodes && costs_.decodes_due)) return;
    row_s_ = has_decodes ? costs_.prompt_row_beside : costs_.prompt_row_alone;
    const double base = has_decodes ? seconds(costs_, decodes_) : costs_.fixed;
    double time = step_limit_s(costs_, decodes_, static_cast<int>(prompts_.size())) - base;
    n_rows_left_ = costs_.measured ? budget_.rows : std::min(budget_.rows, kFirstRows);
    const auto served = [&](std::size_t i) { return candidates_[i].tenant_served; };
    const bool has_tenants = std::any_of(prompts_.begin(), prompts_.end(), [&](std::size_t i) {
      return served(i) != served(prompts_.front());
    });

    int n_parts = has_tenants ? 3 : 2;
    time -= give_part(prompts_, time, n_parts--);
    if (has_tenants) time -= give_part(sorted_by(served), time, n_parts--);
    time -= give_part(sorted_by([&](std::size_t i) {
                        return candidates_[i].n_served + candidates_[i].n_remaining;
                      }),
                      time, n_parts);
    give_in_order(prompts_, time, n_rows_left_, 0);
  }

  void take(std::vector<PlannedRows>& out) const {
    for (const std::size_t i : order_) out.push_back({static_cast<int>(i), rows_[i]});
  }

 private:
  /// Gives up to `n` more rows to a candidate; how many it got.
  int give(std::size_t i, int n) {
    const Candidate& c = candidates_[i];
    const int had = rows_[i];
    if (had == 0 && (budget_.sequences == 0 || c.n_source > budget_.source_rows)) return 0;
    const int outputs_had = count_output_rows(c, had);
    if (c.is_whole && (n < c.n_remaining || budget_.rows < c.n_remaining)) return 0;
    const int wanted = had + std::min({n, budget_.rows, c.n_remaining - had});
    const int now = fit_outputs(c, wanted, budget_.output_rows + outputs_had);
    if (now <= had) return 0;
    if (had == 0) {
      order_.push_back(i);
      --budget_.sequences;
      budget_.source_rows -= c.n_source;
    }
    rows_[i] = now;
    budget_.rows -= now - had;
    budget_.output_rows -= count_output_rows(c, now) - outputs_had;
    return now - had;
  }

  template <typename Key>
  std::vector<std::size_t> sorted_by(const Key& key) const {
    std::vector<std::size_t> sorted = prompts_;
    std::stable_sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
      return std::tuple(candidates_[a].priority, key(a)) <
             std::tuple(candidates_[b].priority, key(b));
    });
    return sorted;
  }

  /// One of `n_parts` equal parts of the time and of the rows that are left; what it took.
  double give_part(std::span<const std::size_t> order, double time, int n_parts) {
    return give_in_order(order, time / n_parts, (n_rows_left_ + n_parts - 1) / n_parts, kLeastRows);
  }

  /// Spends up to `time` seconds and `n_rows` rows on prompts in this order; what it took. The
  /// first that can have any gets `n_least` rows whatever they take.
  double give_in_order(std::span<const std::size_t> order, double time, int n_rows, int n_least) {
    double spent = 0;
    for (const std::size_t i : order) {
      if (n_rows == 0 || (spent >= time && n_least == 0)) break;
      const int had = rows_[i];
      int wanted = std::min(std::max(rows_within(i, time - spent), n_least), n_rows);
      // The first one comes whole whatever it takes.
      if (candidates_[i].is_whole && n_least > 0) wanted = candidates_[i].n_remaining;
      const int got = give(i, wanted);
      if (got == 0) continue;
      n_least = 0;
      const int n_source = had == 0 ? candidates_[i].n_source : 0;
      const int n = got + n_source;
      spent += n * row_s_ + (keys_of(candidates_[i], had, had + got) + keys_of_source(n_source)) *
                                costs_.prompt_key;
      n_rows = std::max(0, n_rows - n);
      n_rows_left_ = std::max(0, n_rows_left_ - n);
    }
    return spent;
  }

  /// Further rows of a candidate that take at most `time` seconds.
  int rows_within(std::size_t i, double time) const noexcept {
    if (time <= 0) return 0;
    const double first =
        row_s_ + keys_of(candidates_[i], rows_[i], rows_[i] + 1) * costs_.prompt_key;
    // n rows take first * n + (n^2 - n) / 2 * prompt_key.
    const double a = costs_.prompt_key / 2;
    const double b = first - a;
    const double n = 2 * time / (b + std::sqrt(b * b + 4 * a * time));
    return static_cast<int>(std::min<double>(n, candidates_[i].n_remaining));
  }

  std::span<const Candidate> candidates_;
  Budget budget_;
  const StepCosts& costs_;
  std::vector<int> rows_;
  std::vector<std::size_t> order_;  // of the first row
  std::vector<std::size_t> prompts_;
  StepShape decodes_;
  double row_s_ = 0;
  int n_rows_left_ = 0;
};

}  // namespace

int count_output_rows(const Candidate& c, int n_rows) noexcept {
  const bool last = c.wants_last && n_rows == c.n_remaining;
  const bool last_is_reported = c.report_begin < c.report_end && c.report_end >= c.n_remaining;
  return count_reports(c, n_rows) + (last && !last_is_reported ? 1 : 0);
}

double step_limit_s(const StepCosts& costs, const StepShape& decodes, int n_prompts) noexcept {
  const double efficient = 5 * costs.fixed;
  if (decodes.decode_rows == 0)
    return std::max(n_prompts > 1 ? kSharedStepS : kLongStepS, efficient);
  const double base = seconds(costs, decodes);
  const double crowd = std::max(1.0, n_prompts / decodes.decode_rows);
  const double stretched = base * (1 + (kMostStretch - 1) * crowd);
  return std::min(stretched, std::max(kLongStepS, kMostStretch * base));
}

void plan_step(std::span<const Candidate> candidates, Budget budget, const StepCosts& costs,
               std::vector<PlannedRows>& out) {
  out.clear();
  Planner planner(candidates, budget, costs);
  planner.give_decodes();
  planner.give_prompts();
  planner.take(out);
}

void add_to_shape(const Candidate& c, int n_rows, StepShape& shape) noexcept {
  (is_decode(c) ? shape.decode_rows : shape.prompt_rows) += n_rows + c.n_source;
  (is_decode(c) ? shape.decode_keys : shape.prompt_keys) +=
      keys_of(c, 0, n_rows) + keys_of_source(c.n_source);
}

int share_of_places(int n_places, int n_others) noexcept {
  const int left = std::max(0, n_places - n_others);
  return left - left / 8;
}

int pick_waiter(std::span<const Waiter> waiters, int n_places, int n_running,
                bool has_tenants) noexcept {
  int best = -1;
  const auto key = [](const Waiter& w) {
    return std::tuple(w.priority, w.tenant_served, w.group_running);
  };
  const auto is_at_its_share = [&](int running) {
    return running > 0 && running >= share_of_places(n_places, n_running - running);
  };
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    const Waiter& w = waiters[i];
    if (is_at_its_share(w.group_running)) continue;
    if (has_tenants && is_at_its_share(w.tenant_running)) continue;
    if (best < 0 || key(w) < key(waiters[static_cast<std::size_t>(best)]))
      best = static_cast<int>(i);
  }
  return best;
}

}  // namespace openllm::engine

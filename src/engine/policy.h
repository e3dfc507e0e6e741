#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/step_costs.h"

// What the engine decides, as pure functions of counters and measured costs: same input, same
// decision.
namespace openllm::engine {

/// A sequence that could run, as far as planning cares. Rows are counted from its next one.
struct Candidate {
  int n_remaining = 1;   ///< Rows until it has caught up; 1 when it is decoding.
  int report_begin = 0;  ///< Rows [report_begin, report_end) of the prompt whose logits are wanted.
  int report_end = 0;
  bool wants_last =
      true;               ///< The last remaining row's logits are wanted: a token is sampled there.
  bool is_whole = false;  ///< Its rows come all in one step.
  int n_past = 0;         ///< Tokens computed before: the first row attends to one more.
  int n_source = 0;       ///< Source tokens that are encoded with its first row, all at once.
  int priority = 0;       ///< Lower comes first.
  std::int64_t n_served = 0;       ///< Rows that its group was given since it came.
  std::int64_t tenant_served = 0;  ///< What its tenant was given.
};

/// The most that a step may hold.
struct Budget {
  int rows = 0;
  int sequences = 0;
  int output_rows = 0;
  int source_rows = 0;  ///< Of encoders; they are none of `rows`.
};

struct PlannedRows {
  int candidate = 0;  ///< Index.
  int n_rows = 0;
};

/// Rows with logits among the first `n_rows`.
int count_output_rows(const Candidate& candidate, int n_rows) noexcept;

/// Seconds that a step with these decodes may take, when `n_prompts` prompts are to be computed.
///
/// Beside decodes 2.5 times the step without prompts, so that streams go on at a steady pace, and
/// more when there are more prompts than streams, since somebody waits behind each. Without decodes
/// short enough that a new request does not wait long, but long enough that the fixed part of a
/// step stays below a fifth of it.
double step_limit_s(const StepCosts& costs, const StepShape& decodes, int n_prompts) noexcept;

/// Chooses what the next step runs: decodes first, then chunks of prompts as far as `budget` and
/// `step_limit_s` let them. Never exceeds `budget`.
///
/// `candidates` are in rank order. The time for prompts is divided: a part goes to the first in
/// rank, so that long ones get on; one to those whose group will have been given least when they
/// are done (`n_served` + `n_remaining`), so that short and new ones do not wait behind them; and,
/// where there are several tenants, one to the tenant that was given least. In each part lower
/// priority comes first. One that comes whole fits its part or is the first that gets rows of it.
/// What one part leaves the others take. The first in rank always gets rows, but in a step of
/// decodes alone when one is due to be measured.
void plan_step(std::span<const Candidate> candidates, Budget budget, const StepCosts& costs,
               std::vector<PlannedRows>& out);

/// Adds what the next `n_rows` rows of a candidate compute.
void add_to_shape(const Candidate& candidate, int n_rows, StepShape& shape) noexcept;

/// Most places that one of several may hold when the others hold `n_others` of `n_places`: an
/// eighth of what they leave stays free for newcomers, if that is a place at all.
int share_of_places(int n_places, int n_others) noexcept;

/// A sequence that waits for a place.
struct Waiter {
  int priority = 0;                ///< Lower comes first.
  std::int64_t tenant_served = 0;  ///< What its tenant was given.
  int tenant_running = 0;          ///< Sequences.
  int group_running = 0;
};

/// Index of the one that gets the next place; -1 when none may have one. `waiters` are in order of
/// arrival, `n_running` counts all.
///
/// Lower priority first, then the tenant that was given least, then the group with fewest places,
/// then the earliest. Groups, and tenants if `has_tenants`, keep to `share_of_places`; who is at
/// its share is passed over.
int pick_waiter(std::span<const Waiter> waiters, int n_places, int n_running,
                bool has_tenants) noexcept;

}  // namespace openllm::engine

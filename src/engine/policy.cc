#include "engine/policy.h"

#include <algorithm>

namespace openllm::engine {
namespace {

bool is_decode(const Candidate& c) noexcept {
  return c.n_remaining == 1 && c.report_begin >= c.report_end;
}

int count_reports(const Candidate& c, int n_rows) noexcept {
  return std::max(0, std::min(n_rows, c.report_end) - c.report_begin);
}

/// The longest chunk within the budget; 0 when there is none.
int chunk_rows(const Candidate& c, const Budget& budget) noexcept {
  int n = std::min(c.n_remaining, budget.rows);
  if (count_output_rows(c, n) <= budget.output_rows) return n;
  n = std::min(n, c.n_remaining - 1);
  if (count_reports(c, n) > budget.output_rows) n = c.report_begin + budget.output_rows;
  return n;
}

}  // namespace

int count_output_rows(const Candidate& c, int n_rows) noexcept {
  const bool last = c.wants_last && n_rows == c.n_remaining;
  const bool last_is_reported = c.report_begin < c.report_end && c.report_end >= c.n_remaining;
  return count_reports(c, n_rows) + (last && !last_is_reported ? 1 : 0);
}

void plan_step(std::span<const Candidate> candidates, Budget budget,
               std::vector<PlannedRows>& out) {
  out.clear();
  for (const bool decodes : {true, false}) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& c = candidates[i];
      if (is_decode(c) != decodes || budget.rows == 0 || budget.sequences == 0) continue;
      const int n_rows = chunk_rows(c, budget);
      if (n_rows <= 0) continue;
      out.push_back({static_cast<int>(i), n_rows});
      budget.rows -= n_rows;
      budget.output_rows -= count_output_rows(c, n_rows);
      --budget.sequences;
    }
  }
}

}  // namespace openllm::engine

#include "engine/load.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/policy.h"

namespace openllm::engine {
namespace {

/// Sequences that wait and get places before the newcomer, by the order of `pick_waiter`: all of
/// lower priority, those of its tenant, and of every other tenant one for each of these and it.
std::int64_t count_ahead(const Load& load, const Newcomer& newcomer) noexcept {
  std::int64_t n_before = 0;
  std::int64_t n_own = 0;
  for (const Load::TenantLoad& t : load.tenants) {
    if (t.priority < newcomer.priority) n_before += t.n_first;
    if (t.priority == newcomer.priority && t.tenant == newcomer.tenant) n_own += t.n_first;
  }
  std::int64_t n_others = 0;
  for (const Load::TenantLoad& t : load.tenants) {
    if (t.priority == newcomer.priority && t.tenant != newcomer.tenant)
      n_others += std::min<std::int64_t>(n_own + 1, t.n_first);
  }
  return n_before + n_own + n_others;
}

/// Places that are free for the newcomer's tenant.
int count_free(const Load& load, const Newcomer& newcomer) noexcept {
  const int n_free = std::max(0, load.n_places - load.n_running);
  if (!load.has_tenants) return n_free;
  int n_own = 0;
  for (const Load::TenantLoad& t : load.tenants) {
    if (t.tenant == newcomer.tenant) n_own += t.n_running;
  }
  const int share = share_of_places(load.n_places, load.n_running - n_own);
  return std::min(n_free, std::max(n_own > 0 ? 0 : 1, share - n_own));
}

/// Until the rows of prompts before its own are computed, when it has a place.
double prompts_wait_s(const Load& load, std::int64_t n_prompt) noexcept {
  const auto size = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(n_prompt)));
  double shorter = 0;
  double all = 0;
  for (std::size_t i = 0; i < load.prompt_rows.size(); ++i) {
    const auto rows = static_cast<double>(load.prompt_rows[i]);
    all += rows;
    if (i <= size) shorter += rows;
  }
  const bool beside = load.n_decoding > 0;
  const StepShape decodes{.decode_rows = static_cast<double>(load.n_decoding),
                          .decode_keys = load.decode_keys};
  const double limit = step_limit_s(load.costs, decodes, load.n_prompts + 1);
  const double base = beside ? seconds(load.costs, decodes) : load.costs.fixed;
  const double row_s = beside ? load.costs.prompt_row_beside : load.costs.prompt_row_alone;
  // Its rows are among the shortest at half of the time, or first in rank.
  return std::min(2 * shorter, all) * row_s * limit / std::max(limit - base, 1e-3 * limit);
}

}  // namespace

void AnswerLengths::add_token() noexcept {
  n_tokens_ += 1;
  if (n_tokens_ < 1 << 16) return;
  n_tokens_ /= 2;
  n_ends_ /= 2;
}

double AnswerLengths::expected(std::int64_t most, bool can_end) const noexcept {
  const auto n = static_cast<double>(most);
  if (!can_end || most <= 0) return std::max(0.0, n);
  const double chance = std::min(1.0, n_ends_ / n_tokens_);
  return chance <= 1e-9 ? n : -std::expm1(n * std::log1p(-std::min(chance, 1 - 1e-9))) / chance;
}

Load::TenantLoad& Load::of(std::size_t tenant, int priority) {
  const auto found = std::find_if(tenants.begin(), tenants.end(), [&](const TenantLoad& t) {
    return t.tenant == tenant && t.priority == priority;
  });
  if (found != tenants.end()) return *found;
  return tenants.emplace_back(TenantLoad{tenant, priority});
}

void Load::add_prompt(std::int64_t n_rows) noexcept {
  prompt_rows[static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(n_rows)))] +=
      n_rows;
  ++n_prompts;
}

double Load::work_s(std::int64_t n_rows, std::int64_t max_new, bool can_end) const noexcept {
  const double row_s = n_decoding > 0 ? costs.prompt_row_beside : costs.prompt_row_alone;
  return static_cast<double>(n_rows) * row_s + lengths.expected(max_new, can_end) * token_s;
}

void add_newcomer(Load& load, const Newcomer& newcomer) {
  // Choices behind the first find the prompt in the cache.
  const double n = newcomer.n_choices;
  const double first_s = load.work_s(newcomer.n_prompt, newcomer.max_new, newcomer.can_end);
  const double work_s = first_s + (n - 1) * load.work_s(1, newcomer.max_new, newcomer.can_end);
  load.mean_s = (load.mean_s * load.n_known + work_s) / (load.n_known + n);
  load.n_known += n;
  const bool gets_place = count_ahead(load, newcomer) < count_free(load, newcomer);
  Load::TenantLoad& own = load.of(newcomer.tenant, newcomer.priority);
  if (gets_place) {
    ++own.n_running;
    ++load.n_running;
    load.running_s += first_s;
    load.add_prompt(newcomer.n_prompt);
  } else {
    ++own.n_first;
  }
}

double estimate_wait_s(const Load& load, const Newcomer& newcomer) noexcept {
  if (!load.costs.measured || load.n_running == 0) return 0;
  const std::int64_t n_ahead = count_ahead(load, newcomer);
  const int n_free = count_free(load, newcomer);
  const bool preempts = newcomer.priority < load.last_priority;
  double wait = load.step_s / 2;
  if (n_ahead >= n_free && !preempts) wait += estimate_ends_s(load, n_ahead - n_free + 1);
  return wait + prompts_wait_s(load, newcomer.n_prompt);
}

double estimate_longest_wait_s(const Load& load) noexcept {
  double longest = estimate_wait_s(load, {});
  for (const Load::TenantLoad& t : load.tenants)
    longest = std::max(longest, estimate_wait_s(load, {.tenant = t.tenant}));
  return longest;
}

double estimate_ends_s(const Load& load, std::int64_t n) noexcept {
  if (n <= 0 || load.n_running == 0) return 0;
  return load.running_s / load.n_running + static_cast<double>(n - 1) * load.mean_s;
}

}  // namespace openllm::engine

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/step_costs.h"

namespace openllm::engine {

/// How long answers become, from those that there were: a limit is only an upper bound.
///
/// Answers are taken to end with the same chance at every token, so that those which met their
/// limit, or were cancelled, count for what they are: so many tokens without an end.
class AnswerLengths {
 public:
  /// A token of an answer that has ends.
  void add_token() noexcept;
  /// An answer came to its end by itself.
  void add_end() noexcept { n_ends_ += 1; }
  /// Tokens to expect of an answer that may have `most` more; `can_end`: it has ends.
  double expected(std::int64_t most, bool can_end) const noexcept;

 private:
  // As if one answer of 256 tokens had been seen before.
  double n_tokens_ = 256;
  double n_ends_ = 1;
};

/// A request that comes, as far as waiting goes.
struct Newcomer {
  std::size_t tenant = 0;  ///< Tenant::id.
  int priority = 0;
  std::int64_t n_prompt = 1;
  std::int64_t max_new = 1;
  bool can_end = true;  ///< Before max_new.
  int n_choices = 1;
};

/// What is ahead of a request that comes now. A value that the engine publishes after each step.
struct Load {
  StepCosts costs{};
  int n_places = 0;
  int n_running = 0;
  int n_decoding = 0;      ///< Of the running ones.
  double decode_keys = 0;  ///< That those attend to in a step.
  double step_s = 0;       ///< Time of a step as the last ones were.
  double running_s = 0;    ///< Work left of the running sequences.
  double mean_s = 0;       ///< Work of a sequence from begin to end.
  double n_known = 0;      ///< Sequences that this is the mean of.
  double token_s = 0;      ///< Work for a token of an answer, with as many as now.
  AnswerLengths lengths{};
  int last_priority = 0;  ///< Of the running one that would be preempted first.
  bool has_tenants = false;

  /// One for each tenant and priority.
  struct TenantLoad {
    std::size_t tenant = 0;
    int priority = 0;
    int n_running = 0;
    /// Waiting sequences that come before others: the first of each group that runs none.
    int n_first = 0;
  };
  std::vector<TenantLoad> tenants{};

  /// Rows that running sequences are to compute before their next token, by how many each has
  /// left: entry i is for those with at least 2^(i - 1) and fewer than 2^i.
  std::array<std::int64_t, 33> prompt_rows{};
  int n_prompts = 0;

  /// The entry of a tenant and priority, made if there is none.
  TenantLoad& of(std::size_t tenant, int priority);
  void add_prompt(std::int64_t n_rows) noexcept;
  /// Work of a sequence that computes these rows and has at most `max_new` tokens to come.
  double work_s(std::int64_t n_rows, std::int64_t max_new, bool can_end) const noexcept;
};

/// Counts a request that was taken after the load was published.
void add_newcomer(Load& load, const Newcomer& newcomer);

/// Seconds until the first rows of the request are computed: until it has a place, and until those
/// prompts are computed that come before its own. 0 while nothing was measured.
double estimate_wait_s(const Load& load, const Newcomer& newcomer) noexcept;
/// The longest of these over all tenants there are, for a prompt of one token.
double estimate_longest_wait_s(const Load& load) noexcept;

/// Seconds until `n` sequences have ended.
double estimate_ends_s(const Load& load, std::int64_t n) noexcept;

}  // namespace openllm::engine

#include "llm/compare/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace openllm::llm {
namespace {

/// Logprobs of lists are rounded to floats: a sum of their probabilities is not known better.
constexpr double kRoundOff = 1e-6;

/// One term of the divergence.
double term(double log_p, double log_q) {
  const double p = std::exp(log_p);
  return p > 0.0 ? p * (log_p - log_q) : 0.0;
}

/// Adds up what two distributions have in common.
struct Common {
  double kl = 0.0;
  double p = 0.0;
  double q = 0.0;

  void add(double log_p, double log_q) {
    kl += term(log_p, log_q);
    p += std::exp(log_p);
    q += std::exp(log_q);
  }
};

Divergence with_rest(const Common& common) {
  const double p = std::max(1.0 - common.p, 0.0);
  const double q = std::max(1.0 - common.q, 0.0);
  if (p <= kRoundOff) return {.kl = std::max(common.kl, 0.0), .missing = p};
  return {.kl = std::max(common.kl + p * std::log(p / std::max(q, kRoundOff)), 0.0), .missing = p};
}

}  // namespace

Distribution::Distribution(std::span<const float> logits) : logits_(logits) {
  const auto is_number = [](float x) { return !std::isnan(x); };
  const auto most = std::max_element(logits.begin(), logits.end());
  if (most == logits.end() || !std::all_of(logits.begin(), logits.end(), is_number) ||
      !std::isfinite(*most))
    base::fail(ErrorCode::kCorruptData, "logits: are not numbers");
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *most);
  log_sum_ = *most + std::log(sum);
  top_ = static_cast<std::int32_t>(most - logits.begin());
}

Distribution::Distribution(const TokenLogprobs& list) {
  constexpr double kMost = 1e-3;  // a little above 0 by rounding
  for (const TokenLogprob& entry : list) {
    const double value = entry.logprob;
    if (std::isnan(value) || value > kMost || entry.token_id < 0) {
      base::fail(ErrorCode::kCorruptData, "logprobs: ", value, " of token ", entry.token_id,
                 " is none");
    }
    const auto [at, is_new] = list_.emplace(entry.token_id, std::min(value, 0.0));
    if (!is_new && at->second != std::min(value, 0.0)) {
      base::fail(ErrorCode::kCorruptData, "logprobs: token ", entry.token_id, " has two of them (",
                 at->second, " and ", value, ")");
    }
  }
  if (list_.empty()) base::fail(ErrorCode::kCorruptData, "logprobs: there are none");
  const auto likelier = [](const auto& a, const auto& b) { return a.second < b.second; };
  top_ = std::max_element(list_.begin(), list_.end(), likelier)->first;
}

std::optional<double> Distribution::logprob(std::int32_t id) const {
  if (is_whole()) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits_.size()) return std::nullopt;
    return static_cast<double>(logits_[static_cast<std::size_t>(id)]) - log_sum_;
  }
  const auto found = list_.find(id);
  return found == list_.end() ? std::nullopt : std::optional(found->second);
}

Divergence divergence(const Distribution& p, const Distribution& q) {
  Common common;
  if (p.is_whole() && q.is_whole()) {
    const std::size_t n = std::min(p.size(), q.size());
    for (std::size_t i = 0; i < n; ++i) {
      const auto id = static_cast<std::int32_t>(i);
      common.add(*p.logprob(id), *q.logprob(id));
    }
    if (p.size() == q.size()) return {.kl = std::max(common.kl, 0.0), .missing = 0.0};
    return with_rest(common);
  }
  for (const auto& [id, logprob] : (p.is_whole() ? q : p).list()) {
    const auto log_p = p.logprob(id);
    const auto log_q = q.logprob(id);
    if (log_p && log_q) common.add(*log_p, *log_q);
  }
  return with_rest(common);
}

double logprob_difference(double a, double b) noexcept { return a == b ? 0.0 : std::abs(a - b); }

}  // namespace openllm::llm

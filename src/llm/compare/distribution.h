#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "openllm/outputs.h"

// Distributions of a next token, and how far two of them are apart.
namespace openllm::llm {

/// The next token by logits of the whole vocabulary, or by a list of logprobs. Refers to what it is
/// made of only if that is logits.
class Distribution {
 public:
  /// Throws kCorruptData when there is no number, or when no token has a probability.
  explicit Distribution(std::span<const float> logits);
  /// Throws kCorruptData for an empty list, a token that stands there twice with different values,
  /// and what is no logprob.
  explicit Distribution(const TokenLogprobs& list);

  bool is_whole() const noexcept { return !logits_.empty(); }
  /// Number of ids that have a logprob: the first ones of the vocabulary, or those of the list.
  std::size_t size() const noexcept { return is_whole() ? logits_.size() : list_.size(); }
  /// Nothing where a list does not have the id.
  std::optional<double> logprob(std::int32_t id) const;
  /// The likeliest id; the lowest of equal ones.
  std::int32_t top() const noexcept { return top_; }
  /// Those of a list; empty for logits.
  const std::map<std::int32_t, double>& list() const noexcept { return list_; }

 private:
  std::span<const float> logits_;
  double log_sum_ = 0.0;  ///< logprob = logit - log_sum_
  std::map<std::int32_t, double> list_;
  std::int32_t top_ = 0;
};

struct Divergence {
  /// sum p ln(p / q) over the tokens that both have, and over the rest as one token; nats.
  double kl = 0.0;
  double missing = 0.0;  ///< Probability of the rest by `p`.
};
Divergence divergence(const Distribution& p, const Distribution& q);

/// Of two logprobs; 0 where both are -inf.
double logprob_difference(double a, double b) noexcept;

}  // namespace openllm::llm

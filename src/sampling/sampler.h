#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "openllm/outputs.h"
#include "sampling/constraint.h"
#include "sampling/select.h"

namespace openllm::sampling {

/// Parameters of the distribution that a token is drawn from. Plain data; checked by `validate`.
struct SamplingParams {
  float temperature = 1.0F;  ///< <= 1e-5: greedy.
  int top_k = 0;             ///< <= 0: all.
  float top_p = 1.0F;        ///< < 1e-8: greedy.
  float min_p = 0.0F;
  float typical_p = 1.0F;       ///< >= 1: off.
  float epsilon_cutoff = 0.0F;  ///< <= 0: off.
  float eta_cutoff = 0.0F;      ///< <= 0: off.
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  std::vector<std::pair<std::int32_t, float>> logit_bias{};
  std::uint64_t seed = 0;
  int choice = 0;
};
/// Throws kInvalidArgument naming the field, its range and the value.
void validate(const SamplingParams& params, int vocab_size);

/// Token counts of one sequence, for the penalties.
class TokenCounts {
 public:
  void add_prompt(std::span<const std::int32_t> tokens);
  void add_output(std::int32_t token);
  struct Entry {
    std::int32_t token = 0;
    std::int32_t in_prompt = 0;
    std::int32_t in_output = 0;
  };
  std::span<const Entry> entries() const noexcept { return entries_; }

 private:
  Entry& entry(std::int32_t token);
  std::vector<Entry> entries_;
  std::vector<std::pair<std::int32_t, std::int32_t>> index_;  // open addressing: token -> place
};

struct Sample {
  std::int32_t token = 0;
  float logprob = 0.0F;             ///< log-softmax of the raw logits at the token.
  std::vector<TokenLogprob> top{};  ///< The `n_top` most likely, falling; may contain the token.
};

/// A token that may continue a beam.
struct Expansion {
  std::int32_t token = 0;
  float score = 0.0F;    ///< Its logprob after penalties and rules.
  float logprob = 0.0F;  ///< log-softmax of the raw logits.
};

/// Whether the token with the highest score is taken instead of a random one.
bool is_greedy(const SamplingParams& params) noexcept;
/// Whether sampling needs the token counts.
bool uses_counts(const SamplingParams& params) noexcept;

/// Logits -> token. Order: logit bias, the constraint's bias and mask, temperature, repetition,
/// presence and frequency penalties, what the constraint makes of the scores, top-p, top-k, min-p,
/// typical-p, epsilon and eta cut-off, draw. Ties: the lower id. The draw depends on (seed, choice,
/// position) alone: one uniform number, looked up in the cumulative distribution of the tokens that
/// are left, in token order. Repetition divides positive and multiplies negative scores of tokens
/// in prompt or answer (CTRL, Keskar 2019); presence and frequency penalties look at the answer
/// alone (OpenAI). Thread safety: one thread at a time (keeps scratch memory; no allocation per
/// token after the first).
class Sampler {
 public:
  explicit Sampler(int vocab_size);
  int vocab_size() const noexcept { return vocab_size_; }
  /// `logits` [V] is raw and left unchanged. `position` counts the sequence's tokens before this
  /// one. `constraint` may be null; its state stays as it is. `n_top` < 0: no logprobs at all.
  /// Throws kInternal for NaN or +inf logits and when no token may be chosen.
  Sample sample(std::span<const float> logits, const SamplingParams& params,
                const TokenCounts& counts, const Constraint* constraint, std::int64_t position,
                int n_top);
  /// The `n` tokens with the highest scores into `out`, falling; fewer when others may not come. As
  /// transformers in a beam search, bias, penalties and constraint change logprobs instead of
  /// logits; temperature and selections have no influence. `top` gets the `n_top` most likely
  /// tokens. Throws as `sample`.
  void expand(std::span<const float> logits, const SamplingParams& params,
              const TokenCounts& counts, const Constraint* constraint, std::size_t n, int n_top,
              std::vector<Expansion>& out, std::vector<TokenLogprob>& top);
  /// log-softmax of raw logits at `token` and the n_top most likely, for prompt logprobs.
  Sample score(std::span<const float> logits, std::int32_t token, int n_top);
  /// The distribution that `sample` draws from, [V]; 0 for removed tokens. Greedy: 1 at one token.
  void distribution(std::span<const float> logits, const SamplingParams& params,
                    const TokenCounts& counts, const Constraint* constraint, std::span<double> out);

 private:
  [[noreturn]] static void fail_nothing_left(const SamplingParams& params,
                                             const Constraint* constraint);
  float check_logits(std::span<const float> logits) const;
  /// Fills mask_ and returns whether any token is forbidden.
  bool masks_any(const Constraint* constraint);
  /// Scores after penalties and constraint: in scratch_, or the logits themselves when nothing
  /// changes them.
  std::span<const float> adjust(std::span<const float> logits, const SamplingParams& params,
                                const TokenCounts& counts, const Constraint* constraint);
  /// Selects tokens. Fills probs_ for those selected, and block_sums_ if all are. Returns their
  /// weight.
  double select(std::span<const float> x, float max, const SamplingParams& params);
  /// The selections that look at the distribution of what the others left.
  void cut_off(float max, const SamplingParams& params);
  std::int32_t draw(double target) const;
  /// `sum` is that of exp(logit - max).
  void add_logprobs(std::span<const float> logits, float max, double sum, int n_top,
                    Sample& sample);

  int vocab_size_;
  std::vector<float> scratch_;
  std::vector<float> logprobs_;  ///< Of `expand`; empty before the first.
  std::vector<float> probs_;
  std::vector<double> block_sums_;
  double total_ = 0.0;  ///< Of block_sums_; 0 when `select` did not need them.
  std::vector<std::uint64_t> mask_;
  Selector selector_;
};

}  // namespace openllm::sampling

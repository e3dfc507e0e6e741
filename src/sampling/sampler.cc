#include "sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "sampling/vector_ops.h"

namespace openllm::sampling {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kGreedyTemperature = 1e-5F;
constexpr float kGreedyTopP = 1e-8F;

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

/// The lowest id with this value.
std::int32_t first_equal(std::span<const float> x, float value) {
  return static_cast<std::int32_t>(find(x, value));
}

void apply_mask(std::span<float> x, std::span<const std::uint64_t> mask) {
  for (std::size_t word = 0; word < mask.size(); ++word) {
    for (std::uint64_t off = ~mask[word]; off != 0; off &= off - 1) {
      const std::size_t token = word * 64 + static_cast<std::size_t>(std::countr_zero(off));
      if (token < x.size()) x[token] = -kInfinity;
    }
  }
}

void apply_penalties(std::span<float> x, const SamplingParams& params, const TokenCounts& counts) {
  for (const TokenCounts::Entry& entry : counts.entries()) {
    if (entry.token < 0 || at(entry.token) >= x.size()) continue;
    float& score = x[at(entry.token)];
    if (entry.in_prompt + entry.in_output > 0 && params.repetition_penalty != 1.0F) {
      score = score > 0.0F ? score / params.repetition_penalty : score * params.repetition_penalty;
    }
    if (entry.in_output == 0) continue;
    score -=
        params.presence_penalty + params.frequency_penalty * static_cast<float>(entry.in_output);
  }
}

}  // namespace

bool is_greedy(const SamplingParams& params) noexcept {
  return params.temperature <= kGreedyTemperature || params.top_p < kGreedyTopP;
}

bool uses_counts(const SamplingParams& params) noexcept {
  return params.repetition_penalty != 1.0F || params.presence_penalty != 0.0F ||
         params.frequency_penalty != 0.0F;
}

Sampler::Sampler(int vocab_size) : vocab_size_(vocab_size) {
  base::check(vocab_size > 0, "sampling: vocabulary must not be empty");
  const auto n = static_cast<std::size_t>(vocab_size);
  scratch_.resize(n);
  probs_.resize(n);
  block_sums_.resize((n + kBlock - 1) / kBlock);
  mask_.resize((n + 63) / 64);
}

float Sampler::check_logits(std::span<const float> logits) const {
  base::check(logits.size() == scratch_.size(), "sampling: wrong number of logits (expected ",
              vocab_size_, ", got ", logits.size(), ")");
  const Scan result = scan(logits);
  if (result.has_nan)
    base::fail(
        ErrorCode::kInternal,
        "sampling: the model gave logits that are not numbers (NaN); are its weights damaged?");
  if (result.max == kInfinity)
    base::fail(ErrorCode::kInternal, "sampling: the model gave infinite logits");
  if (result.max == -kInfinity) base::fail(ErrorCode::kInternal, "sampling: every logit is -inf");
  return result.max;
}

bool Sampler::masks_any(const Constraint* constraint) {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  if (constraint == nullptr) return false;
  std::fill(mask_.begin(), mask_.end(), kAll);
  constraint->mask(mask_);
  return std::any_of(mask_.begin(), mask_.end(), [](std::uint64_t word) { return word != kAll; });
}

std::span<const float> Sampler::adjust(std::span<const float> logits, const SamplingParams& params,
                                       const TokenCounts& counts, const Constraint* constraint) {
  const bool scaled = params.temperature > kGreedyTemperature && params.temperature != 1.0F;
  const bool masked = masks_any(constraint);
  const bool ruled = constraint != nullptr && constraint->edits_scores();
  const bool edited = !params.logit_bias.empty() || masked || ruled;
  if (!edited && !scaled && !uses_counts(params)) return logits;
  if (edited || !scaled) std::copy(logits.begin(), logits.end(), scratch_.begin());
  for (const auto& [token, bias] : params.logit_bias) scratch_[at(token)] += bias;
  if (ruled) constraint->add_bias(scratch_);
  if (masked) apply_mask(scratch_, mask_);
  if (scaled)
    divide(edited ? std::span<const float>(scratch_) : logits, params.temperature, scratch_.data());
  if (uses_counts(params)) apply_penalties(scratch_, params, counts);
  if (ruled) constraint->edit(scratch_);
  return scratch_;
}

double Sampler::select(std::span<const float> x, float max, const SamplingParams& params) {
  total_ = 0.0;
  if (params.top_p >= 1.0F && params.top_k > 0 && params.top_k < vocab_size_) {
    // The usual case needs few of the weights.
    selector_.start(x, probs_, 0.0);
    selector_.keep_top_k(params.top_k);
    exp_some(x, selector_.ids(), max, probs_.data());
  } else {
    exp_blocks(x, max, probs_.data(), block_sums_.data());
    for (const double sum : block_sums_) total_ += sum;
    selector_.start(x, probs_, total_);
    if (params.top_p < 1.0F) selector_.keep_top_p(static_cast<double>(params.top_p));
    if (params.top_k > 0) selector_.keep_top_k(params.top_k);
  }
  if (params.min_p > 0.0F) selector_.keep_min_p(params.min_p);
  cut_off(max, params);
  return selector_.has_all() ? total_ : selector_.weight();
}

void Sampler::cut_off(float max, const SamplingParams& params) {
  if (params.typical_p < 1.0F)
    selector_.keep_typical(static_cast<double>(params.typical_p), max, selector_.weight());
  if (params.epsilon_cutoff > 0.0F)
    selector_.keep_above(static_cast<double>(params.epsilon_cutoff) * selector_.weight());
  if (params.eta_cutoff > 0.0F) {
    const auto epsilon = static_cast<double>(params.eta_cutoff);
    const double weight = selector_.weight();
    const double eta = std::sqrt(epsilon) * std::exp(-selector_.entropy(max, weight));
    selector_.keep_above(std::min(epsilon, eta) * weight);
  }
}

std::int32_t Sampler::draw(double target) const {
  double sum = 0.0;
  std::int32_t last = -1;  // the last possible token, should rounding carry the target past the end
  if (!selector_.has_all()) {
    for (const std::int32_t id : selector_.ids()) {
      const auto p = static_cast<double>(probs_[at(id)]);
      if (p <= 0.0) continue;
      last = id;
      sum += p;
      if (sum > target) return id;
    }
    return last;
  }
  for (std::size_t b = 0; b < block_sums_.size(); ++b) {
    if (block_sums_[b] <= 0.0) continue;
    const double before = sum;
    sum += block_sums_[b];
    const bool inside = sum > target;
    double within = before;
    const std::size_t end = std::min((b + 1) * kBlock, probs_.size());
    for (std::size_t i = b * kBlock; i < end && (inside || b + 1 >= block_sums_.size()); ++i) {
      if (probs_[i] <= 0.0F) continue;
      last = static_cast<std::int32_t>(i);
      within += static_cast<double>(probs_[i]);
      if (within > target) return last;
    }
    if (inside) return last;
  }
  if (last >= 0) return last;
  for (std::size_t i = probs_.size(); i-- > 0;) {
    if (probs_[i] > 0.0F) return static_cast<std::int32_t>(i);
  }
  return -1;
}

void Sampler::fail_nothing_left(const SamplingParams& params, const Constraint* constraint) {
  std::string_view where = constraint == nullptr ? "" : constraint->field();
  if (where.empty() && !params.logit_bias.empty()) where = "logit_bias";
  base::fail_with(ErrorCode::kInvalidArgument, {where},
                  "request: no token may be chosen: ", where.empty() ? "constraints" : where,
                  " and what else limits the choice forbid them all");
}

void Sampler::expand(std::span<const float> logits, const SamplingParams& given,
                     const TokenCounts& counts, const Constraint* constraint, std::size_t n,
                     int n_top, std::vector<Expansion>& out, std::vector<TokenLogprob>& top) {
  const float max = check_logits(logits);
  const double log_sum = std::log(sum_exp(logits, max)) + static_cast<double>(max);
  logprobs_.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i)
    logprobs_[i] = static_cast<float>(static_cast<double>(logits[i]) - log_sum);
  SamplingParams params = given;
  params.temperature = 1.0F;
  const std::span<const float> scores = adjust(logprobs_, params, counts, constraint);
  out.clear();
  for (const std::int32_t id : selector_.largest(scores, n)) {
    if (scores[at(id)] > -kInfinity) out.push_back({id, scores[at(id)], logprobs_[at(id)]});
  }
  if (out.empty()) fail_nothing_left(params, constraint);
  top.clear();
  if (n_top <= 0) return;
  for (const std::int32_t id : selector_.largest(logprobs_, static_cast<std::size_t>(n_top)))
    top.push_back({id, logprobs_[at(id)]});
}

Sample Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                       const TokenCounts& counts, const Constraint* constraint,
                       std::int64_t position, int n_top) {
  const float raw_max = check_logits(logits);
  const std::span<const float> x = adjust(logits, params, counts, constraint);
  const bool raw = x.data() == logits.data();
  total_ = 0.0;
  const float max = raw ? raw_max : scan(x).max;
  if (max == -kInfinity) {
    // The model's own logits were looked at before: the request leaves nothing.
    fail_nothing_left(params, constraint);
  }
  Sample result;
  // An infinite score can only come from a division by a tiny temperature: the draw has become an
  // argmax.
  if (is_greedy(params) || max == kInfinity) {
    result.token = first_equal(x, max);
  } else {
    const double weight = select(x, max, params);
    const double unit = base::random_unit(params.seed, static_cast<std::uint64_t>(params.choice),
                                          static_cast<std::uint64_t>(position));
    result.token = draw(unit * weight);
  }
  base::check(result.token >= 0, "sampling: nothing left to draw from");
  if (n_top >= 0) {
    add_logprobs(logits, raw_max, raw && total_ > 0.0 ? total_ : sum_exp(logits, raw_max), n_top,
                 result);
  }
  return result;
}

Sample Sampler::score(std::span<const float> logits, std::int32_t token, int n_top) {
  base::check(token >= 0 && token < vocab_size_, "sampling: no such token ", token);
  Sample result;
  result.token = token;
  const float max = check_logits(logits);
  add_logprobs(logits, max, sum_exp(logits, max), n_top, result);
  return result;
}

void Sampler::distribution(std::span<const float> logits, const SamplingParams& params,
                           const TokenCounts& counts, const Constraint* constraint,
                           std::span<double> out) {
  base::check(out.size() == scratch_.size(), "sampling: wrong size of the distribution");
  check_logits(logits);
  const std::span<const float> x = adjust(logits, params, counts, constraint);
  const float max = scan(x).max;
  base::check(max > -kInfinity,
              "sampling: no token may be chosen (all are forbidden or have logit -inf)");
  std::fill(out.begin(), out.end(), 0.0);
  if (is_greedy(params) || max == kInfinity) {
    out[at(first_equal(x, max))] = 1.0;
    return;
  }
  const double weight = select(x, max, params);
  if (selector_.has_all()) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(probs_[i]) / weight;
    return;
  }
  for (const std::int32_t id : selector_.ids())
    out[at(id)] = static_cast<double>(probs_[at(id)]) / weight;
}

void Sampler::add_logprobs(std::span<const float> logits, float max, double sum, int n_top,
                           Sample& sample) {
  const double log_sum = std::log(sum) + static_cast<double>(max);
  const auto logprob = [&](std::int32_t id) {
    return static_cast<float>(static_cast<double>(logits[at(id)]) - log_sum);
  };
  sample.logprob = logprob(sample.token);
  if (n_top <= 0) return;
  for (const std::int32_t id : selector_.largest(logits, static_cast<std::size_t>(n_top))) {
    sample.top.push_back({id, logprob(id)});
  }
}

}  // namespace openllm::sampling

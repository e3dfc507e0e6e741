#include "sampling/constraints/token_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace openllm::sampling {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::size_t at(std::int32_t id) { return static_cast<std::size_t>(id); }

void forbid_score(std::span<float> scores, std::int32_t id) {
  if (id >= 0 && at(id) < scores.size()) scores[at(id)] = kForbidden;
}

/// Whether `tokens` ends with all of `run` but its last token.
bool is_begun(std::span<const std::int32_t> tokens, std::span<const std::int32_t> run) {
  const std::size_t n = run.size() - 1;
  return n <= tokens.size() && std::equal(run.begin(), run.end() - 1, tokens.last(n).begin());
}

/// Forbids what would complete a run of `size` tokens a second time. Finds the earlier ones by
/// Knuth, Morris and Pratt: a hostile prompt of one token costs no more than another.
void forbid_repeated_ngrams(std::size_t size, std::span<const std::int32_t> tokens,
                            std::span<float> scores) {
  if (size == 0 || tokens.size() < size) return;
  const std::span<const std::int32_t> begun = tokens.last(size - 1);
  std::vector<std::size_t> borders(size, 0);  // of the first i tokens of `begun`
  const auto step = [&](std::size_t n_matched, std::int32_t token) {
    while (n_matched == begun.size() || begun[n_matched] != token) {
      if (n_matched == 0) return n_matched;
      n_matched = borders[n_matched];
    }
    return n_matched + 1;
  };
  for (std::size_t i = 1, border = 0; i < begun.size(); ++i) {
    border = step(border, begun[i]);
    borders[i + 1] = border;
  }
  std::size_t n_matched = 0;
  for (const std::int32_t token : tokens) {
    if (n_matched == begun.size()) forbid_score(scores, token);
    n_matched = step(n_matched, token);
  }
}

/// Runs that are one of `spared` alone do not count.
void forbid_runs(std::span<const TokenIds> runs, std::span<const std::int32_t> tokens,
                 std::span<const std::int32_t> spared, std::span<float> scores) {
  for (const TokenIds& run : runs) {
    const bool is_spared =
        run.size() == 1 && std::find(spared.begin(), spared.end(), run.front()) != spared.end();
    if (!is_spared && is_begun(tokens, run)) forbid_score(scores, run.back());
  }
}

/// Leaves `ids` alone, with equal scores.
void force(std::span<const std::int32_t> ids, std::span<float> scores) {
  std::fill(scores.begin(), scores.end(), kForbidden);
  for (const std::int32_t id : ids) scores[at(id)] = 0.0F;
}

void decay_length(const TokenRules& rules, std::size_t n_answer, std::span<float> scores) {
  const auto start = static_cast<std::size_t>(rules.length_decay->start);
  if (n_answer <= start) return;
  // Powers grow beyond all numbers: the largest one ends the answer as well.
  constexpr double kMost = std::numeric_limits<float>::max();
  const double power = std::pow(static_cast<double>(rules.length_decay->factor),
                                static_cast<double>(n_answer - start));
  const double gain = std::min(power, kMost) - 1.0;
  for (const std::int32_t id : rules.eos) {
    float& score = scores[at(id)];
    if (!std::isfinite(score)) continue;
    const double grown = static_cast<double>(score) + std::abs(static_cast<double>(score)) * gain;
    score = static_cast<float>(std::clamp(grown, -kMost, kMost));
  }
}

/// Forbids all but `allowed`, which is sorted.
void forbid_others(std::span<const std::int32_t> allowed, std::span<float> scores) {
  std::size_t next = 0;
  for (const std::int32_t id : allowed) {
    const std::size_t end = std::min(at(id), scores.size());
    for (; next < end; ++next) scores[next] = kForbidden;
    next = std::max(next, end + 1);
  }
  for (; next < scores.size(); ++next) scores[next] = kForbidden;
}

}  // namespace

bool has_rules(const TokenRules& r) noexcept {
  return !r.sequence_bias.empty() || r.no_repeat_ngram_size > 0 || !r.bad_words_ids.empty() ||
         !r.bad_words.empty() || r.forced_bos || !r.forced_eos.empty() || r.length_decay ||
         !r.suppressed.empty() || !r.suppressed_at_begin.empty() || !r.allowed.empty();
}

void add_sequence_bias(const TokenRules& rules, const TokenHistory& history,
                       std::span<float> logits) {
  for (const auto& [run, bias] : rules.sequence_bias) {
    if (is_begun(history.tokens, run)) logits[at(run.back())] += bias;
  }
}

void apply_rules(const TokenRules& rules, const TokenHistory& history, std::span<float> scores) {
  const std::size_t length = history.tokens.size();
  forbid_repeated_ngrams(static_cast<std::size_t>(rules.no_repeat_ngram_size), history.tokens,
                         scores);
  forbid_runs(rules.bad_words_ids, history.tokens, rules.eos, scores);
  forbid_runs(rules.bad_words, history.tokens.subspan(history.n_prompt), {}, scores);
  if (rules.forced_bos && length == 1) force(std::span(&*rules.forced_bos, 1), scores);
  if (!rules.forced_eos.empty() && length + 1 == history.max_length)
    force(rules.forced_eos, scores);
  if (rules.length_decay) decay_length(rules, length - history.n_prompt, scores);
  for (const std::int32_t id : rules.suppressed) forbid_score(scores, id);
  // A forced first token comes before the beginning.
  const std::size_t begin = history.n_prompt + (history.n_prompt <= 1 && rules.forced_bos ? 1 : 0);
  if (length == begin) {
    for (const std::int32_t id : rules.suppressed_at_begin) forbid_score(scores, id);
  }
  if (!rules.allowed.empty()) forbid_others(rules.allowed, scores);
}

RuledTokens::RuledTokens(std::shared_ptr<const TokenRules> rules, const ConstraintContext& context)
    : rules_(std::move(rules)),
      tokens_(context.prompt_ids.begin(), context.prompt_ids.end()),
      n_prompt_(tokens_.size()),
      max_length_(tokens_.size() + static_cast<std::size_t>(context.max_new_tokens)) {}

void RuledTokens::add_bias(std::span<float> logits) const {
  add_sequence_bias(*rules_, history(), logits);
}

void RuledTokens::edit(std::span<float> scores) const { apply_rules(*rules_, history(), scores); }

std::string_view RuledTokens::field() const noexcept {
  if (!rules_->allowed.empty()) return "allowed_token_ids";
  if (rules_->no_repeat_ngram_size > 0) return "no_repeat_ngram_size";
  if (!rules_->bad_words_ids.empty()) return "bad_words_ids";
  if (!rules_->bad_words.empty()) return "bad_words";
  if (!rules_->suppressed.empty()) return "suppress_tokens";
  return rules_->suppressed_at_begin.empty() ? "" : "begin_suppress_tokens";
}

}  // namespace openllm::sampling

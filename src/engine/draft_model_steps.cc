// The steps of a draft model: what it reads, and the tokens that it guesses one after the other.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/draft_model.h"
#include "sampling/vector_ops.h"

namespace openllm::engine {
namespace {

// A guess must bring that much more than it costs, as costs are measured and not known.
constexpr double kMargin = 1.1;

std::size_t size_of(int n) noexcept { return static_cast<std::size_t>(n); }

}  // namespace

void DraftModel::add_rows(const Active& active, std::span<const std::int32_t> tokens,
                          bool wants_logits) {
  const Text& text = *active.text;
  const int past = text.n_computed + static_cast<int>(text.fed.size());
  const auto n = static_cast<std::int32_t>(tokens.size());
  const auto first = static_cast<std::int32_t>(step_.token_ids.size());
  step_.sequences.push_back(
      {.first_row = first, .n_rows = n, .past_len = past, .sequence_id = active.sequence->id});
  step_.token_ids.insert(step_.token_ids.end(), tokens.begin(), tokens.end());
  for (std::int32_t i = 0; i < n; ++i) step_.positions.push_back(past + i);
  for (std::size_t g = 0; g < step_.block_tables.size(); ++g) {
    step::BlockTable& table = step_.block_tables[g];
    if (table.begin.empty()) table.begin.push_back(0);
    for (const kv::BlockRef& block : text.blocks.table(g)) table.ids.push_back(block.id());
    table.begin.push_back(static_cast<std::int32_t>(table.ids.size()));
  }
  if (wants_logits) step_.logit_rows.push_back(first + n - 1);
  const double keys = n * (past + (n + 1) / 2.0);
  const bool is_chunk = n > kCaughtUp;
  (is_chunk ? shape_.prompt_rows : shape_.decode_rows) += n;
  (is_chunk ? shape_.prompt_keys : shape_.decode_keys) += keys;
}

const float* DraftModel::run() {
  const base::Clock::TimePoint start = clock_.now();
  const step::Outputs results = runner_.run(step_);
  const double taken = std::chrono::duration<double>(clock_.now() - start).count();
  base::check(results.logits != nullptr || step_.logit_rows.empty(),
              "draft model: the runner gave no logits");
  if (taken > 0) costs_.observe(shape_, taken);
  seconds_ += taken;
  total_seconds_ += taken;
  n_rows_ += step_.n_rows();
  step_.clear();
  shape_ = {};
  return results.logits;
}

/// The first step: all that is read, and the first guess of those that have read everything.
void DraftModel::read() {
  ready_.clear();
  for (Active& active : active_) {
    if (active.n_rows == 0) continue;
    const std::span<const std::int32_t> tokens(active.sequence->tokens);
    const std::span<const std::int32_t> next =
        tokens.subspan(size_of(active.text->n_computed), size_of(active.n_rows));
    const bool is_ready = size_of(active.text->n_computed + active.n_rows) == tokens.size();
    add_rows(active, next, is_ready);
    if (is_ready) ready_.push_back(&active);
  }
  if (step_.token_ids.empty()) return;
  const float* logits = run();
  for (Active& active : active_)
    advance(*active.sequence, *active.text, std::exchange(active.n_rows, 0));
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    Active& active = *ready_[i];
    active.text->guesses.clear();
    active.has_guessed = true;
    active.goes_on = take_guess(active, {logits + i * size_of(runner_vocab_), n_ids_});
  }
}

/// What the sequence would draw from these logits: with its penalties, and with the random number
/// that it has for this place. So two models that agree draw alike whatever the temperature.
std::int32_t DraftModel::draw(const Active& active, std::span<const float> logits, float max) {
  const Sequence& sequence = *active.sequence;
  const std::size_t position = sequence.tokens.size() + active.text->guesses.size();
  if (sampler_) {  // else its ids are not those of the parameters
    sampling::TokenCounts counts;
    if (sampling::uses_counts(sequence.sampling)) {
      counts = sequence.counts;
      for (const Guess& guess : active.text->guesses) counts.add_output(guess.token);
    }
    try {
      return sampler_
          ->sample(logits, sequence.sampling, counts, nullptr, static_cast<std::int64_t>(position),
                   -1)
          .token;
    } catch (const Error&) {  // nothing is left to draw: a matter of the request
    }
  }
  return static_cast<std::int32_t>(sampling::find(logits, max));
}

/// A guess of the next token, if it is worth a row of the step; whether to guess on behind it.
bool DraftModel::take_guess(Active& active, std::span<const float> logits) {
  const float max = sampling::scan(logits).max;
  const double sum = sampling::sum_exp(logits, max);
  if (!(sum >= 1.0) || !std::isfinite(sum))
    base::fail(ErrorCode::kInternal, "draft model: its logits are no numbers");
  const std::int32_t token = draw(active, logits, max);
  const double over_max = static_cast<double>(logits[static_cast<std::size_t>(token)]) - max;
  const auto probability = static_cast<float>(std::exp(over_max) / sum);
  Text& text = *active.text;
  const double luck = text.luck.factor();
  const double expected = std::min(kMostChance, odds_.chance(probability) * luck);
  const double worth = active.chance * expected * active.spent_s / active.tokens;
  active.spent_s += active.costs.draft_s;
  const bool is_tried = (text.is_trial || odds_.are_new()) && text.guesses.empty();
  if (terms_.rows <= 0 || (!is_tried && worth <= kMargin * active.costs.row_s)) {
    odds_.note_untested(probability);
    return false;
  }
  text.guesses.push_back({token, probability, expected});
  --terms_.rows;
  active.chance *= expected;
  active.tokens += active.chance;
  active.spent_s += active.costs.row_s;
  const double next = active.chance * chance_of(text) * active.spent_s / active.tokens;
  return static_cast<int>(text.guesses.size()) < active.n_most && terms_.rows > 0 &&
         next > kMargin * (active.costs.row_s + active.costs.draft_s);
}

/// Further steps, of one token each, for those that guess on.
void DraftModel::guess() {
  while (true) {
    std::erase_if(ready_, [&](Active* active) {
      const auto n = std::int64_t{active->text->n_computed} +
                     static_cast<std::int64_t>(active->text->fed.size()) + 1;
      return !active->goes_on || !grow(*active->text, n);
    });
    if (ready_.empty()) return;
    for (Active* active : ready_) {
      const std::int32_t token = active->text->guesses.back().token;
      add_rows(*active, {&token, 1}, true);
      active->costs = costs_of(*active->sequence, static_cast<int>(ready_.size()), terms_);
    }
    const float* logits = run();
    for (std::size_t i = 0; i < ready_.size(); ++i) {
      Active& active = *ready_[i];
      active.text->fed.push_back(active.text->guesses.back().token);
      active.goes_on = take_guess(active, {logits + i * size_of(runner_vocab_), n_ids_});
    }
  }
}

}  // namespace openllm::engine

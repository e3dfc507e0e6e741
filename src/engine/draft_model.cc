#include "engine/draft_model.h"

#include <algorithm>
#include <exception>

#include "base/error.h"

namespace openllm::engine {
namespace {

// What guesses must save of a token's time before anything is read for them, alone and beside
// others, where estimates are rougher.
constexpr double kLeastGain = 0.05;
constexpr double kLeastGainBeside = 0.15;
// How fast it is learnt how much longer guesses take than expected, what one step may tell at most,
// and the most that is believed.
constexpr double kOverrunRate = 0.1;
constexpr double kMostOverrun = 4;
// Of the time, what goes into guesses that are not expected to pay, and how many steps' worth of it
// is saved up.
constexpr double kTrialShare = 0.01;
constexpr double kMostCreditSteps = 50;
// What chunks may take of the step's time beside other streams, and of one sequence alone.
constexpr double kReadBeside = 0.5;
constexpr double kReadAlone = 1.5;
constexpr int kLeastRows = 8;
constexpr int kFirstRows = 32;  // before anything was measured
// Steps that a sequence goes without guesses when there are no blocks for it.
constexpr int kRest = 64;

std::size_t size_of(int n) noexcept { return static_cast<std::size_t>(n); }

double least_gain(const DraftTerms& terms) noexcept {
  return terms.n_decodes > 1 ? kLeastGainBeside : kLeastGain;
}

/// Without a prefix cache nobody looks for blocks of other texts.
kv::BlockCache make_cache(const EngineOptions& engine) {
  for (const kv::KvGroupSpec& group : engine.draft_model.kv_groups) {
    if (group.kind == kv::KvKind::kFull || group.kind == kv::KvKind::kWindow) continue;
    base::fail(ErrorCode::kInvalidArgument,
               "engine: a draft model with states cannot take back a wrong guess");
  }
  return {engine.draft_model.kv_groups, engine.draft_model.blocks_per_group, engine.block_size};
}

}  // namespace

DraftModel::DraftModel(const EngineOptions& engine, int vocab_size, const base::Clock& clock)
    : runner_(*engine.draft_model.runner),
      options_(engine.draft_model),
      block_size_(engine.block_size),
      caches_prefixes_(engine.prefix_caching),
      clock_(clock),
      runner_vocab_(runner_.vocab_size()),
      n_ids_(size_of(std::min(vocab_size, runner_vocab_))),
      cache_(make_cache(engine)),
      max_len_(std::min<std::int64_t>(options_.max_model_len, cache_.max_tokens())),
      nothing_reserved_(options_.kv_groups.size(), 0) {
  step_.block_tables.resize(options_.kv_groups.size());
  if (vocab_size == runner_vocab_) sampler_.emplace(vocab_size);
}

DraftModel::~DraftModel() = default;

double DraftModel::take_seconds() noexcept {
  const double taken = seconds_;
  seconds_ = 0;
  return taken;
}

void DraftModel::note_step(double step_s) noexcept {
  if (expected_s_ <= 0) return;
  const double ratio = std::clamp((step_s - terms_.step_s) / expected_s_, 0.0, kMostOverrun);
  double& mean = overrun(terms_.n_decodes);
  mean += kOverrunRate * (ratio - mean);
  expected_s_ = 0;
}

void DraftModel::fill(EngineStats& stats) const noexcept {
  stats.n_draft_model_rows = n_rows_;
  stats.draft_model_s = total_seconds_;
  stats.n_draft_model_failures = has_failed_ ? 1 : 0;
}

void DraftModel::check(std::span<const std::int64_t> sequences) const {
  std::vector<const kv::SequenceBlocks*> blocks;
  std::size_t n_known = 0;
  for (const std::int64_t id : sequences) {
    const auto found = texts_.find(id);
    if (found == texts_.end()) continue;
    ++n_known;
    const Text& text = found->second;
    blocks.push_back(&text.blocks);
    base::check(text.n_computed + static_cast<std::int64_t>(text.fed.size()) <=
                    std::int64_t{text.blocks.n_blocks()} * block_size_,
                "draft model: computed tokens without blocks");
  }
  base::check(n_known == texts_.size(), "draft model: a text without a sequence");
  cache_.check(blocks);
}

void DraftModel::fail() noexcept {
  has_failed_ = true;
  texts_.clear();
  active_.clear();
}

void DraftModel::forget(std::int64_t sequence_id) noexcept {
  if (has_failed_) return;
  if (texts_.erase(sequence_id) > 0) runner_.forget(sequence_id);
}

void DraftModel::drop(std::int64_t id, Text& text) noexcept {
  text.blocks.clear();
  text.n_computed = 0;
  text.fed.clear();
  runner_.forget(id);
}

/// There are no blocks for it.
void DraftModel::rest(std::int64_t id, Text& text) noexcept {
  drop(id, text);
  text.is_trial = false;
  text.rests_until = round_ + kRest;
}

/// Of the texts that were of no use lately, the one that was of use the longest ago.
bool DraftModel::drop_oldest() noexcept {
  auto oldest = texts_.end();
  for (auto it = texts_.begin(); it != texts_.end(); ++it) {
    const Text& text = it->second;
    if (text.last_round >= round_ - 1 || text.blocks.n_blocks() == 0) continue;
    if (oldest == texts_.end() || text.last_round < oldest->second.last_round ||
        (text.last_round == oldest->second.last_round && it->first > oldest->first))
      oldest = it;
  }
  if (oldest == texts_.end()) return false;
  drop(oldest->first, oldest->second);
  return true;
}

bool DraftModel::grow(Text& text, std::int64_t n_tokens) {
  while (!cache_.grow(text.blocks, n_tokens)) {
    if (!drop_oldest()) return false;
  }
  return true;
}

/// So many more of the sequence's tokens are there.
void DraftModel::advance(Sequence& sequence, Text& text, int n_tokens) {
  const int full_before = text.n_computed / block_size_;
  text.n_computed += n_tokens;
  const int full = text.n_computed / block_size_;
  if (caches_prefixes_ && full > full_before) {
    sequence.extend_keys(full, block_size_);
    cache_.publish(text.blocks, full_before,
                   std::span<const kv::BlockKey>(sequence.keys)
                       .subspan(size_of(full_before), size_of(full - full_before)));
  }
  cache_.trim(text.blocks, text.n_computed);
}

/// Keeps what was fed as far as it is now in the sequence, whose last token is always read anew:
/// what follows it is wanted.
void DraftModel::sync(Sequence& sequence, Text& text) {
  const std::size_t end = sequence.tokens.size() - 1;
  const std::size_t begin = size_of(text.n_computed);
  std::size_t n = 0;
  while (n < text.fed.size() && begin + n < end && sequence.tokens[begin + n] == text.fed[n]) ++n;
  advance(sequence, text, static_cast<int>(n));
  text.fed.clear();
}

bool DraftModel::can_read(const Sequence& sequence, Text& text) const {
  const auto n = static_cast<int>(sequence.tokens.size());
  for (; text.n_checked < n; ++text.n_checked) {
    if (sequence.tokens[size_of(text.n_checked)] >= runner_vocab_) return false;
  }
  return n + terms_.n_most <= max_len_;
}

GuessCosts DraftModel::costs_of(const Sequence& sequence, int n_together,
                                const DraftTerms& terms) const noexcept {
  const double n = std::max(1, n_together);
  const double keys = sequence.n_computed + 1;
  const double factor = std::max(1.0, overrun(terms.n_decodes));
  const double draft_s = seconds(costs_.costs(), {.decode_rows = n, .decode_keys = n * keys}) / n;
  return {.token_s = terms.step_s / std::max(1, terms.n_decodes),
          .row_s = factor * (terms.costs.decode_row + terms.costs.decode_key * keys),
          .draft_s = factor * draft_s};
}

/// What more rows take than those that there are anyway.
double DraftModel::read_s(const Text& text, int n_rows) const noexcept {
  const double n = std::max(0, n_rows);
  const double keys = n * (text.n_computed + (n + 1) / 2);
  const StepCosts& costs = costs_.costs();
  if (n_rows <= kCaughtUp) return n * costs.decode_row + keys * costs.decode_key;
  return seconds(costs, {.prompt_rows = n, .prompt_keys = keys});
}

double DraftModel::chance_of(const Text& text) const noexcept {
  return std::min(kMostChance, odds_.mean() * text.luck.factor());
}

bool DraftModel::beats(const Sequence& sequence, int n, double chance,
                       const DraftTerms& terms) const noexcept {
  const auto found = texts_.find(sequence.id);
  if (has_failed_ || found == texts_.end() || !costs_.costs().measured) return false;
  const Text& text = found->second;
  if (text.is_off || text.n_computed + kCaughtUp < static_cast<int>(sequence.tokens.size()))
    return false;
  GuessCosts costs = costs_of(sequence, terms.n_decodes, terms);
  const double own_s = best_token_s(chance_of(text), terms.n_most, costs);
  costs.draft_s = 0;
  return own_s < (1 - least_gain(terms)) * best_token_s(chance, n, costs);
}

/// Whether to read on for a sequence, and to guess once all is read.
bool DraftModel::is_worth(const Sequence& sequence, Text& text, int n_most,
                          const GuessCosts& costs) {
  const RequestState& r = *sequence.request;
  if (!costs_.costs().measured) return active_.empty();  // the first one tells what it costs
  const auto gain = [&](double chance) {
    return costs.token_s - best_token_s(chance, n_most, costs);
  };
  const double least_s = least_gain(terms_) * costs.token_s;
  if (gain(kMostChance) < least_s) return false;
  if (text.is_trial) return true;
  const int n_missing = static_cast<int>(sequence.tokens.size()) - text.n_computed;
  const double reading_s = read_s(text, n_missing - 1);  // the last one is a guess's own step
  const double expected = terms_.lengths.expected(r.max_new - sequence.n_generated(),
                                                  !r.request.stop_token_ids.empty());
  const double saved = gain(chance_of(text));
  if (saved > least_s && saved * expected > reading_s) return true;
  const double price = reading_s + costs.draft_s + costs.row_s;
  if (credit_s_ < price) return false;
  credit_s_ -= price;
  text.is_trial = true;
  return true;
}

/// Blocks for a text that has none: those that others have computed, and as many as it needs.
bool DraftModel::begin(Sequence& sequence, Text& text) {
  const auto n_tokens = static_cast<std::int64_t>(sequence.tokens.size()) + 1;
  std::span<const kv::BlockKey> prefix;
  if (caches_prefixes_) {
    const int n_full = static_cast<int>(n_tokens - 2) / block_size_;
    sequence.extend_keys(n_full, block_size_);
    prefix = std::span<const kv::BlockKey>(sequence.keys).first(size_of(n_full));
  }
  const auto cached = [&] { return prefix.first(size_of(cache_.find_prefix(prefix))); };
  while (!cache_.fits(cached(), n_tokens, options_.max_step_tokens, nothing_reserved_)) {
    if (!drop_oldest()) return false;
  }
  const std::span<const kv::BlockKey> taken = cached();
  cache_.take_prefix(text.blocks, taken);
  text.n_computed = static_cast<int>(taken.size()) * block_size_;
  return true;
}

void DraftModel::consider(Sequence& sequence, int n_candidates) {
  const RequestState& r = *sequence.request;
  Text& text = texts_[sequence.id];
  if (sequence.drafts.n() > 0) {  // for nothing; it may be of use in the next step
    text.last_round = round_;
    return;
  }
  if (text.is_off || text.rests_until > round_) return;
  const int n_most = std::min(terms_.n_most, r.max_new - sequence.n_generated() - 1);
  if (n_most <= 0) return;
  if (!can_read(sequence, text)) {
    drop(sequence.id, text);
    text.is_off = true;
    return;
  }
  sync(sequence, text);
  const GuessCosts costs = costs_of(sequence, n_candidates, terms_);
  if (!is_worth(sequence, text, n_most, costs)) return text.luck.rest();
  text.last_round = round_;
  if (text.blocks.n_blocks() == 0 && !begin(sequence, text)) return rest(sequence.id, text);
  active_.push_back({.sequence = &sequence,
                     .text = &text,
                     .n_most = n_most,
                     .costs = costs,
                     .spent_s = costs.token_s});
}

/// What each reads now: those that have kept up what is new, the others chunks as far as the time
/// goes that nobody minds, in the order of the batch.
void DraftModel::plan_rows() {
  int rows = options_.max_step_tokens;
  int places = std::min(options_.max_sequences, options_.max_output_rows);
  const StepCosts& costs = costs_.costs();
  double time = terms_.step_s * (terms_.n_decodes > 1 ? kReadBeside : kReadAlone);
  for (const bool has_kept_up : {true, false}) {
    for (Active& active : active_) {
      const int n_missing =
          static_cast<int>(active.sequence->tokens.size()) - active.text->n_computed;
      if ((n_missing <= kCaughtUp) != has_kept_up || places == 0) continue;
      const double row_s = costs.prompt_row_alone + costs.prompt_key * active.text->n_computed;
      int n = std::min(n_missing, rows);
      if (!has_kept_up) {
        if (time <= 0) continue;
        const int n_in_time =
            costs.measured ? static_cast<int>(std::min(time / row_s, 1e6)) : kFirstRows;
        n = std::min(n, std::max(kLeastRows, n_in_time));
        time -= n * row_s;
      } else if (n < n_missing) {
        continue;
      }
      if (n == 0 || !grow(*active.text, std::int64_t{active.text->n_computed} + n)) {
        if (n > 0) rest(active.sequence->id, *active.text);  // half of a text helps nobody
        continue;
      }
      active.n_rows = n;
      rows -= n;
      --places;
    }
  }
}

void DraftModel::propose_all(std::span<Sequence* const> batch) {
  ++round_;
  expected_s_ = 0;
  credit_s_ = std::min(credit_s_ + kTrialShare * terms_.step_s, kMostCreditSteps * terms_.step_s);
  active_.clear();
  const auto guesses_for = [](const Sequence* s) {
    const RequestState& r = *s->request;
    return r.search == nullptr && r.max_new > 0 && r.request.source_ids.empty();
  };
  const auto n_candidates =
      static_cast<int>(std::count_if(batch.begin(), batch.end(), guesses_for));
  for (Sequence* sequence : batch) {
    if (guesses_for(sequence)) consider(*sequence, n_candidates);
  }
  if (active_.empty()) return;
  plan_rows();
  const bool reads_chunk = std::any_of(active_.begin(), active_.end(), [](const Active& active) {
    return active.n_rows > kCaughtUp;
  });
  read();
  guess();
  const double factor = std::max(1.0, overrun(terms_.n_decodes));
  for (const Active& active : active_) {
    if (!reads_chunk && active.has_guessed)
      expected_s_ += (active.spent_s - active.costs.token_s) / factor;
  }
  std::vector<std::int32_t> tokens;
  for (const Active& active : active_) {
    if (!active.has_guessed) continue;
    tokens.clear();
    for (const Guess& guess : active.text->guesses) tokens.push_back(guess.token);
    active.sequence->drafts.take(tokens);
  }
}

void DraftModel::propose(std::span<Sequence* const> batch, const DraftTerms& terms) noexcept {
  if (has_failed_) return;
  terms_ = terms;
  try {
    propose_all(batch);
  } catch (const std::exception&) {
    step_.clear();
    fail();
  }
}

void DraftModel::learn(const Sequence& sequence, int n_right) noexcept {
  const auto found = texts_.find(sequence.id);
  if (found == texts_.end()) return;  // it failed meanwhile
  Text& text = found->second;
  const std::size_t n =
      std::min({size_of(n_right + 1), size_of(sequence.drafts.n()), text.guesses.size()});
  for (std::size_t i = 0; i < n; ++i) {
    const Guess& guess = text.guesses[i];
    const bool is_right = i < size_of(n_right);
    odds_.learn(guess.probability, is_right);
    text.luck.learn(guess.expected, is_right);
  }
  text.is_trial = false;
}

}  // namespace openllm::engine

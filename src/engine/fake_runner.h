#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/thread_team.h"
#include "engine/engine.h"
#include "sampling/constraint_set.h"

namespace openllm::engine {

/// The fake model: logits are a hash of everything a query sees. `full` are all tokens, `visible`
/// those in the window. With a period it likes to repeat what stood that many tokens before.
inline void fake_logits(std::span<const std::int32_t> full, std::size_t window,
                        std::int32_t adapter, std::span<float> out,
                        std::span<const std::int32_t> source = {}, std::size_t period = 0) {
  std::uint64_t h = static_cast<std::uint64_t>(adapter) + 17;
  for (const std::int32_t t : source) h = base::mix64(h + 3 * static_cast<std::uint64_t>(t) + 1);
  for (const std::int32_t t : full) h = base::mix64(h ^ static_cast<std::uint64_t>(t));
  for (std::size_t i = full.size() - std::min(window, full.size()); i < full.size(); ++i) {
    h = base::mix64(h + static_cast<std::uint64_t>(full[i]));
  }
  for (std::size_t v = 0; v < out.size(); ++v) {
    out[v] =
        static_cast<float>(base::mix64(h ^ (v * 0x9E37ULL)) >> 40U) * (8.0F / 16777216.0F) - 4.0F;
  }
  if (period > 0 && full.size() >= period)
    out[static_cast<std::size_t>(full[full.size() - period])] += 6.0F;
}

class FakeClock final : public base::Clock {
 public:
  TimePoint now() const override { return time; }
  TimePoint time{};
};

/// Keeps keys and values as a device would: one cell per (group, block, slot), written and read
/// through the plan's block tables only. Wrong tables, early frees and false prefix hits change
/// what it reads, so they change its logits.
class FakeRunner final : public StepRunner {
 public:
  FakeRunner(int vocab, const EngineOptions& options) : vocab_(vocab), options_(options) {
    for (const int n : options.blocks_per_group) {
      memory_.emplace_back(static_cast<std::size_t>(n) *
                           static_cast<std::size_t>(options.block_size));
    }
  }

  int vocab_size() const noexcept override { return vocab_; }
  int hidden_size() const noexcept override { return kHidden; }
  step::Outputs run(const step::Step& plan) override {
    ++n_calls;
    if (clock != nullptr) {
      const auto rows = static_cast<std::int64_t>(plan.token_ids.size());
      clock->time += std::chrono::microseconds(10000 + 200 * rows);
    }
    most_sequences = std::max(most_sequences, plan.sequences.size());
    check_limits(plan);
    follow(plan);
    for (const step::BlockCopy& copy : plan.copies) copy_block(copy);
    n_copies += plan.copies.size();
    n_source_rows += plan.source_ids.size();
    write(plan);
    write_sources(plan);
    // After the writes: a failing device may have done half of its work.
    if (fail_every > 0 && n_calls % fail_every == 0)
      base::fail(ErrorCode::kInternal, "fake: step failed");
    logits_.resize(plan.logit_rows.size() * static_cast<std::size_t>(vocab_));
    std::size_t s = 0;
    for (std::size_t i = 0; i < plan.logit_rows.size(); ++i) {
      const std::int32_t row = plan.logit_rows[i];
      while (row >= plan.sequences[s].first_row + plan.sequences[s].n_rows) ++s;
      read(plan, s, row - plan.sequences[s].first_row,
           std::span(logits_).subspan(i * static_cast<std::size_t>(vocab_),
                                      static_cast<std::size_t>(vocab_)));
    }
    hidden_.resize(plan.hidden_rows.size() * kHidden);
    s = 0;
    for (std::size_t i = 0; i < plan.hidden_rows.size(); ++i) {
      const std::int32_t row = plan.hidden_rows[i];
      while (row >= plan.sequences[s].first_row + plan.sequences[s].n_rows) ++s;
      read(plan, s, row - plan.sequences[s].first_row,
           std::span(hidden_).subspan(i * kHidden, kHidden));
    }
    return {.logits = logits_.data(), .hidden = hidden_.data()};
  }
  static constexpr std::size_t kHidden = 3;
  void forget(std::int64_t sequence_id) noexcept override { lengths_.erase(sequence_id); }
  /// Sequences that steps had and that were not forgotten.
  std::size_t n_remembered() const noexcept { return lengths_.size(); }
  bool reads_blocks() const noexcept override { return !keeps_by_id; }
  int n_threads() const noexcept override { return team_.n_threads(); }
  void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    team_.run(n, body);
  }

  FakeClock* clock = nullptr;  ///< That a step moves; null: it takes no time.
  std::size_t period = 0;
  int n_calls = 0;
  int fail_every = 0;
  bool keeps_by_id = false;  ///< As a runner that does not read blocks; without cached prefixes.
  std::size_t most_sequences = 0;
  std::size_t n_copies = 0;
  std::size_t n_source_rows = 0;

 private:
  struct Cell {
    std::int32_t token = -1;
    std::int32_t position = -1;
    std::int32_t adapter = -1;
  };

  Cell& cell(const step::Step& plan, std::size_t group, std::size_t sequence, int position) {
    const step::BlockTable& table = plan.block_tables[group];
    const int index = table.begin[sequence] + position / options_.block_size;
    base::check(index < table.begin[sequence + 1], "fake: position outside the block table");
    const std::int32_t block = table.ids[static_cast<std::size_t>(index)];
    base::check(block >= 0 && block < options_.blocks_per_group[group], "fake: block ", block,
                " used");
    return memory_[group][static_cast<std::size_t>(block * options_.block_size +
                                                   position % options_.block_size)];
  }

  void check_limits(const step::Step& plan) const {
    base::check(!plan.token_ids.empty(), "fake: empty plan");
    base::check(plan.token_ids.size() <= static_cast<std::size_t>(options_.max_step_tokens),
                "fake: too many rows");
    base::check(plan.sequences.size() <= static_cast<std::size_t>(options_.max_sequences),
                "fake: too many sequences");
    base::check(plan.logit_rows.size() <= static_cast<std::size_t>(options_.max_output_rows),
                "fake: too many output rows");
    base::check(
        std::is_sorted(plan.logit_rows.begin(), plan.logit_rows.end(), std::less_equal<>()) ||
            plan.logit_rows.size() < 2,
        "fake: output rows must rise");
    std::int32_t next = 0;
    for (const step::SequenceRows& s : plan.sequences) {
      base::check(s.first_row == next && s.n_rows > 0, "fake: rows must follow each other");
      next += s.n_rows;
    }
    base::check(static_cast<std::size_t>(next) == plan.token_ids.size(),
                "fake: rows without a sequence");
  }

  /// A sequence goes on where it was, by its number; one that is new may begin with a prefix.
  void follow(const step::Step& plan) {
    for (const step::SequenceRows& s : plan.sequences) {
      const auto [known, is_new] = lengths_.try_emplace(s.sequence_id, s.past_len);
      // What was guessed and wrong is computed again.
      const int n_back = is_new ? 0 : known->second - s.past_len;
      const bool fits = is_new ? !keeps_by_id || s.past_len == 0
                               : n_back >= 0 && n_back <= options_.max_draft_tokens;
      base::check(fits, "fake: sequence ", s.sequence_id, " goes on elsewhere");
      known->second = s.past_len + s.n_rows;
    }
  }

  bool is_cross(std::size_t group) const {
    return options_.kv_groups[group].kind == kv::KvKind::kCross;
  }

  void copy_block(const step::BlockCopy& copy) {
    auto& cells = memory_[static_cast<std::size_t>(copy.group)];
    for (int i = 0; i < options_.block_size; ++i) {
      cells[static_cast<std::size_t>(copy.to * options_.block_size + i)] =
          cells[static_cast<std::size_t>(copy.from * options_.block_size + i)];
    }
  }

  void write_sources(const step::Step& plan) {
    std::size_t next = 0;
    base::check(plan.source_ids.size() <= static_cast<std::size_t>(options_.max_source_len),
                "fake: too many source rows");
    for (std::size_t s = 0; s < plan.sequences.size(); ++s) {
      const step::SequenceRows& seq = plan.sequences[s];
      for (std::int32_t i = 0; i < seq.n_source_rows; ++i, ++next) {
        for (std::size_t g = 0; g < memory_.size(); ++g) {
          if (is_cross(g)) cell(plan, g, s, i) = {plan.source_ids[next], i, seq.adapter};
        }
      }
    }
    base::check(next == plan.source_ids.size(), "fake: source rows without a sequence");
  }

  void write(const step::Step& plan) {
    std::set<const Cell*> written;
    for (std::size_t s = 0; s < plan.sequences.size(); ++s) {
      const step::SequenceRows& seq = plan.sequences[s];
      for (std::int32_t i = 0; i < seq.n_rows; ++i) {
        const auto row = static_cast<std::size_t>(seq.first_row + i);
        base::check(plan.positions[row] == seq.past_len + i, "fake: wrong position");
        for (std::size_t g = 0; g < memory_.size(); ++g) {
          if (is_cross(g)) continue;
          Cell& c = cell(plan, g, s, seq.past_len + i);
          base::check(!check_writers || written.insert(&c).second, "fake: two writers of one cell");
          c = {plan.token_ids[row], seq.past_len + i, seq.adapter};
        }
      }
    }
  }

  void read(const step::Step& plan, std::size_t s, int row, std::span<float> out) {
    const step::SequenceRows& seq = plan.sequences[s];
    const int length = seq.past_len + row + 1;
    history_.clear();
    if (memory_.empty()) {  // each row sees the whole sequence, and where it stands itself
      const auto begin = plan.token_ids.begin() + seq.first_row;
      history_.assign(begin, begin + seq.n_rows);
      history_.push_back(row);
      fake_logits(history_, history_.size(), seq.adapter, out);
      return;
    }
    for (int p = 0; p < length; ++p) {
      const Cell& c = cell(plan, 0, s, p);
      base::check(c.position == p && c.adapter == seq.adapter, "fake: stale cell at position ", p);
      history_.push_back(c.token);
    }
    std::size_t window = history_.size();
    source_.clear();
    for (std::size_t g = 1; g < memory_.size(); ++g) {
      if (is_cross(g)) {
        for (int p = 0; p < seq.source_len; ++p) {
          const Cell& c = cell(plan, g, s, p);
          base::check(c.position == p && c.adapter == seq.adapter, "fake: stale source cell");
          source_.push_back(c.token);
        }
        continue;
      }
      window = static_cast<std::size_t>(options_.kv_groups[g].window);
      for (int p = std::max(0, length - options_.kv_groups[g].window); p < length; ++p) {
        const Cell& c = cell(plan, g, s, p);
        base::check(c.position == p && c.adapter == seq.adapter &&
                        c.token == history_[static_cast<std::size_t>(p)],
                    "fake: stale window cell at position ", p);
      }
    }
    fake_logits(history_, window, seq.adapter, out, source_, period);
  }

 public:
  bool check_writers = true;

 private:
  int vocab_;
  EngineOptions options_;
  base::ThreadTeam team_{3};
  std::vector<std::vector<Cell>> memory_;
  std::map<std::int64_t, std::int32_t> lengths_;
  std::vector<std::int32_t> history_;
  std::vector<std::int32_t> source_;
  std::vector<float> logits_;
  std::vector<float> hidden_;
};

/// Keeps what a request produced; checks the order of events.
class RecordingSink : public EventSink {
 public:
  explicit RecordingSink(int n_choices)
      : tokens(static_cast<std::size_t>(n_choices)),
        logprobs(tokens.size()),
        reasons(tokens.size()),
        errors(tokens.size()),
        codes(tokens.size()),
        n_ends(tokens.size(), 0) {}
  void on_prompt_logprobs(int first, std::vector<TokenEvent> events) noexcept override {
    in_order = in_order && first == static_cast<int>(prompt.size()) + 1;
    for (TokenEvent& e : events) prompt.push_back(std::move(e));
  }
  void on_prompt_logits(int first, int n, const float* logits) noexcept override {
    in_order = in_order && first == n_logit_rows;
    n_logit_rows += n;
    if (vocab > 0) prompt_logits.insert(prompt_logits.end(), logits, logits + n * vocab);
  }
  void on_prompt_hidden(int first, int n, const float* rows) noexcept override {
    in_order = in_order && (hidden.empty() || first == next_hidden);
    next_hidden = first + n;
    hidden.insert(hidden.end(), rows, rows + n * static_cast<int>(FakeRunner::kHidden));
  }
  void on_score(int choice, float score) noexcept override {
    scores.resize(tokens.size());
    scores[static_cast<std::size_t>(choice)] = score;
  }
  void on_token(int choice, TokenEvent event) noexcept override {
    const auto c = static_cast<std::size_t>(choice);
    in_order = in_order && n_ends[c] == 0;
    tokens[c].push_back(event.token);
    logprobs[c].push_back(event.logprob);
  }
  void on_end(int choice, FinishReason reason, int cached,
              const base::Failure& failure) noexcept override {
    const auto c = static_cast<std::size_t>(choice);
    ++n_ends[c];
    reasons[c] = reason;
    errors[c] = failure.message;
    codes[c] = failure.code;
    n_cached = cached;
  }
  bool ended() const {
    return std::all_of(n_ends.begin(), n_ends.end(), [](int n) { return n > 0; });
  }

  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::vector<float>> logprobs;
  std::vector<float> scores;
  std::vector<FinishReason> reasons;
  std::vector<std::string> errors;
  std::vector<ErrorCode> codes;
  std::vector<int> n_ends;
  std::vector<TokenEvent> prompt;
  std::vector<float> prompt_logits;
  std::vector<float> hidden;
  int next_hidden = 0;
  int n_logit_rows = 0;
  int vocab = 0;
  int n_cached = 0;
  bool in_order = true;
};

/// A small engine: one full and one window group.
inline EngineOptions small_options(int block_size = 4, int full_blocks = 64, int window = 6,
                                   int window_blocks = 64) {
  EngineOptions o;
  o.max_step_tokens = 16;
  o.max_sequences = 8;
  o.max_output_rows = 8;
  o.max_model_len = 128;
  o.block_size = block_size;
  o.check_invariants = true;
  o.kv_groups.resize(2);
  o.kv_groups[1].kind = kv::KvKind::kWindow;
  o.kv_groups[1].window = window;
  o.blocks_per_group = {full_blocks, window_blocks};
  return o;
}

/// What a request's choice must produce, computed without an engine.
struct Expected {
  std::vector<std::int32_t> tokens;
  FinishReason reason = FinishReason::kLength;
};
inline Expected expected_answer(const Request& r, int choice, int vocab, const EngineOptions& o,
                                std::size_t period = 0) {
  Expected result;
  sampling::Sampler sampler(vocab);
  sampling::SamplingParams params = r.sampling;
  params.choice = choice;
  sampling::TokenCounts counts;
  counts.add_prompt(r.prompt_ids);
  std::vector<std::int32_t> tokens = r.prompt_ids;
  std::vector<std::unique_ptr<sampling::Constraint>> parts;
  const int room = o.max_model_len - static_cast<int>(tokens.size());
  const int max_new = std::min(r.max_new_tokens, room);
  for (const auto& make : r.constraints) {
    parts.push_back(make({r.prompt_ids, r.stop_token_ids, choice, max_new}));
  }
  sampling::ConstraintSet constraint(std::move(parts), r.stop_token_ids);
  std::vector<float> logits(static_cast<std::size_t>(vocab));
  const bool has_window = o.kv_groups.size() > 1 && o.kv_groups[1].kind == kv::KvKind::kWindow;
  const auto window =
      has_window ? static_cast<std::size_t>(o.kv_groups[1].window) : std::size_t{1} << 30U;
  for (int i = 0; i < max_new; ++i) {
    fake_logits(tokens, std::min(window, tokens.size()), r.adapter, logits, r.source_ids, period);
    if (i < r.min_new_tokens) {
      for (const std::int32_t stop : r.stop_token_ids)
        logits[static_cast<std::size_t>(stop)] = -1e30F;
    }
    const std::int32_t token = sampler
                                   .sample(logits, params, counts, &constraint,
                                           static_cast<std::int64_t>(tokens.size()), -1)
                                   .token;
    tokens.push_back(token);
    constraint.accept(token);
    counts.add_output(token);
    result.tokens.push_back(token);
    if (std::count(r.stop_token_ids.begin(), r.stop_token_ids.end(), token) > 0) {
      result.reason = FinishReason::kStop;
      break;
    }
  }
  return result;
}

}  // namespace openllm::engine

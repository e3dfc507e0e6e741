#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/draft_odds.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "engine/sequence.h"
#include "engine/step_costs.h"
#include "engine/step_runner.h"
#include "kv/block_cache.h"
#include "sampling/sampler.h"

namespace openllm::engine {

/// A step of decodes alone that guesses may be added to.
struct DraftTerms {
  double step_s = 0;  ///< Without guesses.
  int n_decodes = 0;
  StepCosts costs{};  ///< Of the model that the guesses are for.
  int rows = 0;       ///< That there is room for.
  int n_most = 0;     ///< Guesses of a sequence.
  AnswerLengths lengths{};
};

/// A second, smaller model that guesses for sequences of the engine's own. It has read what it
/// guesses from: its keys and values are in blocks of its own, which the engine's counts and
/// invariants know nothing of. Nothing that happens here changes an answer or ends a request.
///
/// - What it has not read of a text, the prompt at first, it reads beside the steps of decodes, a
///   bounded part of their time each, and only where the guesses will save more than that takes.
/// - All sequences that it guesses for do so together, a token in each of its steps.
/// - What was guessed and turned out wrong is overwritten: of a text it keeps the computed tokens
///   that are in the sequence.
/// - It guesses what the sequence would draw from its logits, with the same random number.
/// - It stops where the next guess is not worth its time: by measured times, by how much longer
///   steps with guesses took than these let expect, and by how often it was right when it was as
///   sure.
/// - Where guesses do not pay, now and then one is tried all the same, within a hundredth of the
///   time (`credit_s_`), so that times and odds do not grow old.
/// - When blocks run out, texts that it does not guess for give theirs up, the oldest first; where
///   there are none, the sequence goes without guesses for a while.
///
/// Thread safety: one thread at a time.
class DraftModel {
 public:
  /// Throws kInvalidArgument for groups that cannot forget a wrong guess. `vocab_size`: of the
  /// engine's model; higher ids are never guessed.
  DraftModel(const EngineOptions& engine, int vocab_size, const base::Clock& clock);
  ~DraftModel();
  DraftModel(const DraftModel&) = delete;
  DraftModel& operator=(const DraftModel&) = delete;

  /// Guesses for the sequences of the batch that have none. When that fails it is the last time.
  void propose(std::span<Sequence* const> batch, const DraftTerms& terms) noexcept;
  /// Whether its guesses would bring the sequence on faster than `n` guesses, made for nothing,
  /// that are right with this chance.
  bool beats(const Sequence& sequence, int n, double chance,
             const DraftTerms& terms) const noexcept;
  /// So many of the guesses that it made for the sequence are what the model drew.
  void learn(const Sequence& sequence, int n_right) noexcept;
  void forget(std::int64_t sequence_id) noexcept;

  /// What it took since the last call.
  double take_seconds() noexcept;
  /// The step that it last guessed for took so long, guessing included.
  void note_step(double step_s) noexcept;
  void fill(EngineStats& stats) const noexcept;
  /// Throws kInternal unless blocks are held by texts of `sequences` alone.
  void check(std::span<const std::int64_t> sequences) const;

 private:
  /// Tokens that are read at once: it has kept up. More are a prompt, and read in chunks.
  static constexpr int kCaughtUp = 16;

  struct Guess {
    std::int32_t token = 0;
    float probability = 0;
    double expected = 0;  ///< Chance that it is right, if those before it are.
  };
  /// What is known of a sequence's tokens.
  struct Text {
    kv::SequenceBlocks blocks{};
    int n_computed = 0;               ///< Tokens of the sequence whose keys and values are there.
    std::vector<std::int32_t> fed{};  ///< Guesses behind them of which the same is true.
    std::vector<Guess> guesses{};     ///< The last ones.
    DraftLuck luck{};
    int n_checked = 0;             ///< Tokens known to be in the vocabulary.
    std::int64_t last_round = -1;  ///< In which it was of use.
    std::int64_t rests_until = 0;
    bool is_trial = false;  ///< The next guess is made whatever it is worth.
    bool is_off = false;    ///< It is too long, or has a token that is not in the vocabulary.
  };
  /// A sequence that is guessed for in this step.
  struct Active {
    Sequence* sequence = nullptr;
    Text* text = nullptr;
    int n_most = 0;
    int n_rows = 0;  ///< Tokens to read now.
    bool has_guessed = false;
    bool goes_on = false;
    GuessCosts costs{};
    double chance = 1;  ///< That all guesses so far are right.
    double tokens = 1;  ///< Expected of the step.
    double spent_s = 0;
  };

  void propose_all(std::span<Sequence* const> batch);
  double& overrun(int n_decodes) noexcept { return overruns_[n_decodes > 1 ? 1 : 0]; }
  double overrun(int n_decodes) const noexcept { return overruns_[n_decodes > 1 ? 1 : 0]; }
  void consider(Sequence& sequence, int n_candidates);
  bool can_read(const Sequence& sequence, Text& text) const;
  void sync(Sequence& sequence, Text& text);
  GuessCosts costs_of(const Sequence& sequence, int n_together,
                      const DraftTerms& terms) const noexcept;
  double read_s(const Text& text, int n_rows) const noexcept;
  double chance_of(const Text& text) const noexcept;
  bool is_worth(const Sequence& sequence, Text& text, int n_most, const GuessCosts& costs);
  bool begin(Sequence& sequence, Text& text);
  void plan_rows();
  void read();
  void guess();
  std::int32_t draw(const Active& active, std::span<const float> logits, float max);
  bool take_guess(Active& active, std::span<const float> logits);
  bool grow(Text& text, std::int64_t n_tokens);
  bool drop_oldest() noexcept;
  void drop(std::int64_t id, Text& text) noexcept;
  void rest(std::int64_t id, Text& text) noexcept;
  void advance(Sequence& sequence, Text& text, int n_tokens);
  void add_rows(const Active& active, std::span<const std::int32_t> tokens, bool wants_logits);
  const float* run();
  void fail() noexcept;

  StepRunner& runner_;
  const DraftModelOptions options_;
  const int block_size_;
  const bool caches_prefixes_;
  const base::Clock& clock_;
  const int runner_vocab_;
  const std::size_t n_ids_;  // that both models have
  kv::BlockCache cache_;
  const std::int64_t max_len_;
  std::optional<sampling::Sampler> sampler_;        // where both models have as many ids
  std::unordered_map<std::int64_t, Text> texts_{};  // by sequence id
  DraftOdds odds_{};
  CostModel costs_{};
  DraftTerms terms_{};
  std::int64_t round_ = 0;
  double credit_s_ = 0;
  /// What guesses really took of what was expected; of one sequence alone and of several, where not
  /// all go on together, and rows cost more the more there are.
  std::array<double, 2> overruns_{1, 1};
  double expected_s_ = 0;     // of this step's guesses, without overrun; 0: not to be judged by
  double seconds_ = 0;        // since take_seconds
  double total_seconds_ = 0;  // ever
  std::int64_t n_rows_ = 0;
  bool has_failed_ = false;

  // Of one step; kept for their capacity.
  std::vector<Active> active_{};
  std::vector<Active*> ready_{};
  step::Step step_{};
  StepShape shape_{};
  const std::vector<int> nothing_reserved_;
};

}  // namespace openllm::engine

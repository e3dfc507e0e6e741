#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/draft_model.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "engine/sequence.h"
#include "engine/shares.h"
#include "engine/step_costs.h"
#include "engine/step_sampler.h"
#include "kv/block_cache.h"

namespace openllm::engine {

/// Blocks taken for a step that has not committed: dropping it gives them back.
class StepReservation {
 public:
  StepReservation() = default;
  ~StepReservation();
  StepReservation(const StepReservation&) = delete;
  StepReservation& operator=(const StepReservation&) = delete;

  void add(Sequence* sequence, int n_blocks_before) {
    entries_.push_back({sequence, n_blocks_before});
  }
  void commit() noexcept { entries_.clear(); }

 private:
  struct Entry {
    Sequence* sequence;
    int n_blocks_before;
  };
  std::vector<Entry> entries_;
};

struct PromptLogprobs {
  int first = 0;  ///< Prompt position of the first event.
  std::vector<TokenEvent> events{};
};
struct PromptLogits {
  int first = 0;  ///< Prompt position of the first row.
  int n = 0;
  const float* values = nullptr;  ///< [n, vocab], valid until the next step.
};
/// Shared by all that one failure ends: telling them of a lack of memory takes none.
using FailurePtr = std::shared_ptr<const base::Failure>;
struct PromptHidden {
  int first = 0;  ///< Prompt position of the first row.
  int n = 0;
  const float* values = nullptr;  ///< [n, D], valid until the next step.
};
struct ScoreEvent {
  float score = 0.0F;
};
struct StartEvent {
  base::Clock::TimePoint when{};  ///< When the first step of the request began.
};
struct EndEvent {
  FinishReason reason = FinishReason::kStop;
  int n_cached_tokens = 0;
  FailurePtr failure{};  ///< Set for kError.
};

/// Something to tell a sink once the state that it speaks of is committed.
struct Emission {
  std::shared_ptr<EventSink> sink{};
  int choice = 0;
  std::variant<TokenEvent, PromptLogprobs, PromptLogits, PromptHidden, StartEvent, ScoreEvent,
               EndEvent>
      what{};
};

/// The engine without threads: everything that one step does.
///
/// Invariants between two calls (`check_invariants` checks the first three and the counts of the
/// fourth; debug builds and tests call it after every step):
/// 1. Every sequence that has not ended is in exactly one state, and in exactly the list of that
///    state: running, waiting, or held. Both lists are in rank order (`ranks_before`), without
///    repetition.
/// 2. Only running sequences hold blocks, and together they hold all blocks that are held; cached
///    prefixes nobody uses are free.
/// 3. The blocks of a running sequence cover its computed tokens.
/// 4. A request is known exactly while one of its choices has not ended; each choice gets one end.
/// 5. Nothing is told to a sink before the state it speaks of is committed: `emissions` are only
///    added by commits and endings, in the order in which they happened.
/// 6. The first in rank of the running ones always gets on: it has rows in each step but those that
///    measure decodes, and is never preempted but by a sequence of lower priority that comes. So it
///    ends, and no two sequences can take each other's blocks for ever.
/// 7. Everybody who waits gets a place in the end, unless lower priority keeps coming: places go to
///    the least served tenant, in it to the group that holds fewest, and there to the earliest, and
///    nobody overtakes one that was picked and has no room yet.
///
/// Thread safety: one thread at a time.
class Core {
 public:
  Core(StepRunner& runner, const EngineOptions& options, const base::Clock& clock);

  /// Longest sequence, prompt and answer.
  std::int64_t max_len() const noexcept { return max_len_; }
  /// Longest source text; 0 for decoders.
  std::int64_t max_source_len() const noexcept { return max_source_len_; }
  int vocab_size() const noexcept { return vocab_size_; }
  int hidden_size() const noexcept { return hidden_size_; }
  bool is_idle() const noexcept { return requests_.empty(); }
  std::int64_t n_waiting() const noexcept {
    return static_cast<std::int64_t>(waiting_.size()) + n_held_;
  }

  /// Takes a validated request. When there is no memory for that, `request` and the core are as
  /// they were.
  void add(std::unique_ptr<RequestState>& request);
  /// `choice` < 0: all of them. Unknown or ended ones are ignored.
  void end_choice(const std::string& id, int choice, FinishReason reason);
  void expire_deadlines();
  void end_all(FinishReason reason, const FailurePtr& failure = nullptr);

  /// Admit, plan, reserve, run, sample, commit. What there is to tell is in `emissions` afterwards.
  void step();

  std::vector<Emission>& emissions() noexcept { return emissions_; }
  /// Ids whose last choice ended since the caller last cleared the list.
  std::vector<std::string>& finished_ids() noexcept { return finished_ids_; }
  /// Everything but n_waiting, which also counts what was not added yet, and the estimate.
  EngineStats stats() const;
  /// What is ahead of a request that comes now.
  void fill(Load& load);
  void check_invariants() const;

 private:
  void reserve_for(int n_choices);
  void end(Sequence& sequence, FinishReason reason, const FailurePtr& failure = nullptr);
  void emit_end(const Sequence& sequence, FinishReason reason, const FailurePtr& failure);
  void end_request(RequestState& request, FinishReason reason, const FailurePtr& failure = nullptr);
  void forget_ended();
  void make_waiting(Sequence& sequence);
  void release_held(RequestState& request);
  void leave_running(Sequence& sequence);
  void preempt(Sequence& sequence);
  void hold(Sequence& sequence);
  void resume(Sequence& sequence, bool runs);
  bool preempt_idle(const RequestState* of = nullptr);
  bool are_all_idle() const noexcept;
  int n_places_taken(const RequestState* but = nullptr) const noexcept;
  bool has_places(const Sequence& sequence) const noexcept;
  Sequence* waiting_beam() const noexcept;

  void advance_searches();
  void advance(RequestState& request);
  void place_beams(RequestState& request);
  void end_search(RequestState& request, FinishReason reason, const FailurePtr& failure);
  void end_beam_choice(RequestState& request, int choice, FinishReason reason);

  Sequence* pick();
  void admit();
  const Sequence* encoded_choice(const RequestState& request) const;
  void take_source(Sequence& sequence);
  bool make_room(Sequence& sequence, std::span<const kv::BlockKey> prefix);
  std::span<const kv::BlockKey> cached_prefix(Sequence& sequence);
  void plan(const StepCosts& costs);
  StepShape shape() const;
  void fill_work(Load& load);
  void measure(const StepShape& computed, double step_s, std::int64_t n_tokens) noexcept;
  void reserve(StepReservation& reservation);
  void commit(std::span<StepOutput> outputs, const step::Outputs& results);
  void commit_one(Sequence& sequence, StepOutput& output, const step::Outputs& results);
  void report_prompt(Sequence& sequence, StepOutput& output, const float* logits);
  void report_hidden(Sequence& sequence, const float* rows);
  step::Outputs run_step();
  void learn_drafts(Sequence& sequence, int n_right);
  void append_tokens(Sequence& sequence, std::span<sampling::Sample> samples);
  void append_token(Sequence& sequence, sampling::Sample& sample);
  void advance_computed(Sequence& sequence, int n_rows);
  void propose_drafts(const StepCosts& costs);
  void propose_repeats(Sequence& sequence, const DraftTerms& terms);
  bool caches_prefix(const RequestState& request) const noexcept {
    return options_.prefix_caching && request.request.source_ids.empty();
  }
  template <typename What>
  void emit(const Sequence& sequence, What what) {
    emissions_.push_back({sequence.request->request.sink, sequence.choice, std::move(what)});
  }

  StepRunner& runner_;
  const EngineOptions options_;
  const base::Clock& clock_;
  const int vocab_size_;
  const int hidden_size_;
  kv::BlockCache cache_;
  const std::int64_t max_len_;
  const std::int64_t max_source_len_;
  const std::size_t max_running_;
  const int max_draft_tokens_;
  std::unique_ptr<DraftModel> draft_model_;  // null: there is none
  StepSampler sampler_;
  CostModel costs_;
  Shares shares_;
  AnswerLengths lengths_;
  // Of the last steps, older ones counting less.
  double recent_s_ = 0;
  double recent_tokens_ = 0;
  double recent_steps_ = 0;
  double step_s_ = 0;  // mean of them
  std::uint64_t load_stamp_ = 0;

  std::unordered_map<std::string, std::unique_ptr<RequestState>> requests_;
  std::vector<Sequence*> running_;     // in rank order
  std::vector<Sequence*> waiting_;     // in rank order
  std::vector<RequestState*> closed_;  // every choice has ended; to be forgotten
  std::int64_t n_held_ = 0;
  std::int64_t next_arrival_ = 0;
  std::int64_t next_sequence_id_ = 0;
  base::Clock::TimePoint next_deadline_ = base::Clock::TimePoint::max();

  // Of one step; kept for their capacity.
  std::vector<Waiter> waiters_;
  std::vector<Candidate> candidates_;
  std::vector<PlannedRows> planned_;
  std::vector<Sequence*> plannable_;  // of the candidates
  std::vector<Sequence*> batch_;
  std::vector<kv::BlockCopy> copies_;
  std::vector<int> outstanding_;
  step::Step step_;
  base::Clock::TimePoint step_began_{};

  std::vector<Emission> emissions_;
  std::vector<std::string> finished_ids_;
  EngineStats stats_;
};

}  // namespace openllm::engine

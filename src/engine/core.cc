#include "engine/core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/reserve.h"
#include "engine/build_step.h"
#include "engine/validate.h"

namespace openllm::engine {
namespace {

using base::reserve_more;

/// Without a prefix cache nobody looks for snapshots.
std::vector<kv::KvGroupSpec> groups_of(const EngineOptions& options) {
  std::vector<kv::KvGroupSpec> groups = options.kv_groups;
  for (kv::KvGroupSpec& group : groups) {
    if (!options.prefix_caching) group.snapshot_blocks = 0;
  }
  return groups;
}

/// States cannot go back to before a guess that was wrong, and neither can runners that keep what
/// they computed by sequence.
int most_drafts(const EngineOptions& options, const StepRunner& runner) {
  const auto has_states = [](const kv::KvGroupSpec& g) { return g.kind == kv::KvKind::kState; };
  const auto& groups = options.kv_groups;
  if (!runner.reads_blocks() || std::any_of(groups.begin(), groups.end(), has_states)) return 0;
  return options.max_draft_tokens;
}

std::unique_ptr<DraftModel> make_draft_model(const EngineOptions& options, const StepRunner& runner,
                                             const base::Clock& clock) {
  if (options.draft_model.runner == nullptr || most_drafts(options, runner) == 0) return nullptr;
  return std::make_unique<DraftModel>(options, runner.vocab_size(), clock);
}

void insert_ranked(std::vector<Sequence*>& list, Sequence* sequence) {
  list.insert(std::upper_bound(list.begin(), list.end(), sequence, ranks_before), sequence);
}

FailurePtr make_failure(ErrorCode code, const char* message) {
  return std::make_shared<const base::Failure>(base::Failure{code, message});
}

void erase_from(std::vector<Sequence*>& list, Sequence* sequence) {
  const auto found = std::lower_bound(list.begin(), list.end(), sequence, ranks_before);
  base::check(found != list.end() && *found == sequence, "engine: sequence is not in its list");
  list.erase(found);
}

}  // namespace

StepReservation::~StepReservation() {
  for (const Entry& entry : entries_) entry.sequence->blocks.truncate(entry.n_blocks_before);
}

Core::Core(StepRunner& runner, const EngineOptions& options, const base::Clock& clock)
    : runner_(runner),
      options_(validated(options)),
      clock_(clock),
      vocab_size_(runner.vocab_size()),
      hidden_size_(runner.hidden_size()),
      cache_(groups_of(options), options.blocks_per_group, options.block_size),
      max_len_(std::min<std::int64_t>(options.max_model_len, cache_.max_tokens())),
      max_source_len_(std::min<std::int64_t>(options.max_source_len, cache_.max_source_tokens())),
      // Every running sequence can decode in the same step.
      max_running_(static_cast<std::size_t>(
          std::min({options.max_sequences, options.max_step_tokens, options.max_output_rows}))),
      max_draft_tokens_(most_drafts(options, runner)),
      draft_model_(make_draft_model(options, runner, clock)),
      outstanding_(options.kv_groups.size()) {
  step_.block_tables.resize(options.kv_groups.size());
  running_.reserve(max_running_);
  batch_.reserve(max_running_);
}

/// Takes the memory that a request needs in the lists, so that moving its sequences between them
/// and ending them never fails.
void Core::reserve_for(int n_choices) {
  const std::size_t n_open = running_.size() + static_cast<std::size_t>(n_waiting() + n_choices);
  reserve_more(waiting_, n_open - waiting_.size());
  reserve_more(emissions_, n_open);
  reserve_more(closed_, requests_.size() + 1);
  reserve_more(finished_ids_, requests_.size() + 1);
}

void Core::add(std::unique_ptr<RequestState>& request) {
  RequestState& r = *request;
  reserve_for(n_sequences(r.request));
  r.is_whole = options_.whole_sequences;
  r.root = prefix_root(r, options_.rope_depends_on_length);
  r.tenant = shares_.tenant(r.request.tenant);
  r.group = shares_.group(r.request.tenant, r.request.group);
  requests_[r.request.id] = std::move(request);
  shares_.enter(*r.tenant, *r.group);

  r.arrival = next_arrival_++;
  for (const auto& choice : r.choices) choice->id = next_sequence_id_++;
  if (r.request.deadline) next_deadline_ = std::min(next_deadline_, *r.request.deadline);
  ++stats_.n_requests;
  stats_.n_prompt_tokens += r.n_prompt;
  n_held_ += n_sequences(r.request);

  if (r.max_new == 0) {  // nothing to sample: only the first choice has something to do, if any
    for (const auto& choice : r.choices) {
      if (choice->n_target() == 0) end(*choice, FinishReason::kLength);
    }
  }
  release_held(r);
  forget_ended();
}

/// Lets choices run: all, or one that computes the prompt first so that the others find it in the
/// prefix index, or its encoded source. They share its full blocks; the tokens behind the last full
/// block are computed again by each choice, which costs less than a block and needs no copying of
/// blocks between devices.
void Core::release_held(RequestState& r) {
  if (r.search != nullptr) {  // the others become beams when the prompt is computed
    if (r.leader != nullptr || r.n_open == 0) return;
    r.leader = r.choices.front().get();
    --n_held_;
    make_waiting(*r.leader);
    return;
  }
  if (r.leader != nullptr && r.leader->state != Sequence::State::kEnded &&
      r.leader->n_computed < r.n_prompt)
    return;
  const bool prompt_is_cached = r.leader != nullptr && r.leader->n_computed >= r.n_prompt;
  for (const auto& choice : r.choices) {
    if (choice->state != Sequence::State::kHeld) continue;
    --n_held_;
    make_waiting(*choice);
    if (prompt_is_cached) continue;
    r.leader = choice.get();
    if (options_.prefix_caching || !r.request.source_ids.empty()) return;
  }
}

void Core::make_waiting(Sequence& sequence) {
  sequence.state = Sequence::State::kWaiting;
  insert_ranked(waiting_, &sequence);
}

void Core::leave_running(Sequence& sequence) {
  erase_from(running_, &sequence);
  --sequence.request->tenant->n_running;
  --sequence.request->group->n_running;
}

/// Keeps a beam that has nothing to compute out of the lists, without blocks.
void Core::hold(Sequence& sequence) {
  if (sequence.state == Sequence::State::kHeld) return;
  if (sequence.state == Sequence::State::kRunning) leave_running(sequence);
  if (sequence.state == Sequence::State::kWaiting) erase_from(waiting_, &sequence);
  sequence.state = Sequence::State::kHeld;
  ++n_held_;
  sequence.blocks.clear();
  runner_.forget(sequence.id);
  sequence.n_computed = 0;
  sequence.n_rows = 0;
  sequence.has_encoded = false;
}

/// The beam has something to compute again; its place is kept where its parent `runs`.
void Core::resume(Sequence& sequence, bool runs) {
  if (sequence.state != Sequence::State::kHeld) return;
  --n_held_;
  if (!runs) return make_waiting(sequence);
  sequence.state = Sequence::State::kRunning;
  insert_ranked(running_, &sequence);
  ++sequence.request->tenant->n_running;
  ++sequence.request->group->n_running;
}

void Core::preempt(Sequence& sequence) {
  if (sequence.has_expansions) {  // nothing to compute before the search goes on
    ++stats_.n_preemptions;
    return hold(sequence);
  }
  leave_running(sequence);
  sequence.blocks.clear();
  runner_.forget(sequence.id);
  sequence.n_computed = 0;
  sequence.n_rows = 0;
  sequence.has_encoded = false;
  sequence.split_counted = false;
  make_waiting(sequence);
  ++stats_.n_preemptions;
}

void Core::end(Sequence& sequence, FinishReason reason, const FailurePtr& failure) {
  if (sequence.state == Sequence::State::kEnded) return;
  RequestState& r = *sequence.request;
  if (sequence.state == Sequence::State::kRunning) leave_running(sequence);
  if (sequence.state == Sequence::State::kWaiting) erase_from(waiting_, &sequence);
  if (sequence.state == Sequence::State::kHeld) --n_held_;
  sequence.state = Sequence::State::kEnded;
  runner_.forget(sequence.id);
  if (draft_model_ != nullptr) draft_model_->forget(sequence.id);
  if (reason == FinishReason::kStop) lengths_.add_end();
  sequence.blocks.clear();
  sequence.n_rows = 0;

  if (r.search == nullptr) emit_end(sequence, reason, failure);
  if (--r.n_open == 0) {
    closed_.push_back(&r);
    ++stats_.n_finished;
  }
}

void Core::emit_end(const Sequence& sequence, FinishReason reason, const FailurePtr& failure) {
  const RequestState& r = *sequence.request;
  if (!emissions_.empty()) {
    Emission& before = emissions_.back();
    auto* token = std::get_if<TokenEvent>(&before.what);
    if (token != nullptr && before.sink == r.request.sink && before.choice == sequence.choice) {
      token->is_last = true;
    }
  }
  emit(sequence, EndEvent{reason, std::max(0, r.n_cached), failure});
}

void Core::end_request(RequestState& r, FinishReason reason, const FailurePtr& failure) {
  if (r.search != nullptr) return end_search(r, reason, failure);
  for (const auto& choice : r.choices) end(*choice, reason, failure);
}

/// Drops requests without open choices.
void Core::forget_ended() {
  for (const RequestState* r : closed_) {
    shares_.leave(*r->tenant, *r->group);
    auto node = requests_.extract(r->request.id);
    finished_ids_.push_back(std::move(node.key()));
  }
  closed_.clear();
}

void Core::end_choice(const std::string& id, int choice, FinishReason reason) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  RequestState& r = *found->second;
  if (choice < 0) {
    end_request(r, reason);
  } else if (r.search != nullptr) {
    end_beam_choice(r, choice, reason);
  } else if (choice < r.request.n_choices) {
    end(*r.choices[static_cast<std::size_t>(choice)], reason);
    release_held(r);
  }
  forget_ended();
}

void Core::expire_deadlines() {
  if (next_deadline_ == base::Clock::TimePoint::max()) return;
  const base::Clock::TimePoint now = clock_.now();
  if (now < next_deadline_) return;
  next_deadline_ = base::Clock::TimePoint::max();
  for (const auto& entry : requests_) {
    RequestState& r = *entry.second;
    if (!r.request.deadline) continue;
    if (*r.request.deadline <= now) {
      end_request(r, FinishReason::kDeadline);
    } else {
      next_deadline_ = std::min(next_deadline_, *r.request.deadline);
    }
  }
  forget_ended();
}

void Core::end_all(FinishReason reason, const FailurePtr& failure) {
  for (const auto& entry : requests_) end_request(*entry.second, reason, failure);
  forget_ended();
}

std::span<const kv::BlockKey> Core::cached_prefix(Sequence& sequence) {
  // What follows a source depends on that.
  if (!caches_prefix(*sequence.request)) return {};
  // At least one token is computed: its logits are wanted. So are all rows from the first one on
  // whose logits or hidden state has not been delivered.
  int n_known = sequence.n_target() - 1;
  if (sequence.n_reported < sequence.report_end) n_known = std::min(n_known, sequence.n_reported);
  if (sequence.hidden_next < sequence.request->request.hidden.end)
    n_known = std::min(n_known, sequence.hidden_next);
  const int n_blocks = n_known / options_.block_size;
  sequence.extend_keys(n_blocks, options_.block_size);
  const std::span<const kv::BlockKey> keys(sequence.keys.data(),
                                           static_cast<std::size_t>(n_blocks));
  return keys.first(static_cast<std::size_t>(cache_.find_prefix(keys)));
}

bool Core::make_room(Sequence& sequence, std::span<const kv::BlockKey> prefix) {
  const bool is_further = sequence.request->group->n_running > 0;
  const std::int64_t n_source =
      encoded_choice(*sequence.request) == nullptr ? sequence.n_source_rows() : 0;
  const auto fits = [&] {
    for (std::size_t g = 0; g < outstanding_.size(); ++g) {
      // As with places: what a group takes beyond its first sequence leaves room for others.
      outstanding_[g] = is_further ? options_.blocks_per_group[g] / 8 : 0;
    }
    for (const Sequence* other : running_) {
      cache_.add_outstanding(other->blocks, other->n_target(), options_.max_step_tokens,
                             outstanding_);
    }
    return cache_.fits(prefix, sequence.n_target(), options_.max_step_tokens, outstanding_,
                       n_source);
  };
  while (!has_places(sequence) || (!running_.empty() && !fits())) {
    Sequence& last = *running_.back();
    const bool is_ahead = last.request->request.priority <= sequence.request->request.priority;
    // Where nothing runs on, beams that wait make room for those that they wait for.
    if (is_ahead && !are_all_idle()) return false;
    preempt(last);
  }
  return true;
}

/// A running choice whose source is encoded, so that others need not do it again; null if there is
/// none.
const Sequence* Core::encoded_choice(const RequestState& r) const {
  for (const auto& choice : r.choices) {
    if (choice->state == Sequence::State::kRunning && choice->has_encoded &&
        choice->blocks.has_source())
      return choice.get();
  }
  return nullptr;
}

void Core::take_source(Sequence& sequence) {
  const RequestState& r = *sequence.request;
  if (r.request.source_ids.empty()) return;
  if (const Sequence* other = encoded_choice(r)) {
    cache_.share_source(other->blocks, sequence.blocks);
    sequence.has_encoded = true;
  } else {
    base::check(cache_.take_source(sequence.blocks, sequence.n_source_rows()),
                "engine: no blocks for a source");
  }
}

/// The next to get a place; null when none may have one.
Sequence* Core::pick() {
  if (Sequence* const beam = waiting_beam()) return beam;
  waiters_.clear();
  for (const Sequence* s : waiting_) {
    const RequestState& r = *s->request;
    waiters_.push_back(
        {r.request.priority, r.tenant->served, r.tenant->n_running, r.group->n_running});
  }
  const int picked = pick_waiter(waiters_, static_cast<int>(max_running_), n_places_taken(),
                                 shares_.has_tenants());
  return picked < 0 ? nullptr : waiting_[static_cast<std::size_t>(picked)];
}

/// Nobody overtakes one that was picked and does not fit: so long prompts get their turn. One that
/// fits nowhere runs when it is alone.
void Core::admit() {
  // Nobody comes twice, as only lower priority takes a place; should it, the step goes on.
  for (std::size_t n = waiting_.size() + running_.size(); n > 0 && !waiting_.empty(); --n) {
    if (n_places_taken() >= static_cast<int>(max_running_) && waiting_beam() == nullptr &&
        running_.back()->request->request.priority <= waiting_.front()->request->request.priority) {
      return;
    }
    Sequence* const picked = pick();
    if (picked == nullptr) return;
    Sequence& sequence = *picked;
    RequestState& r = *sequence.request;
    const std::span<const kv::BlockKey> prefix = cached_prefix(sequence);
    if (!make_room(sequence, prefix)) return;
    cache_.take_prefix(sequence.blocks, prefix);
    take_source(sequence);
    sequence.n_computed = static_cast<int>(prefix.size()) * options_.block_size;
    if (r.n_cached < 0) {
      r.n_cached = std::min(sequence.n_computed, r.n_prompt);
      stats_.n_cached_tokens += r.n_cached;
    }
    if (!std::exchange(sequence.was_charged, true))
      r.tenant->served += sequence.n_target() - sequence.n_computed + sequence.n_source_rows();
    erase_from(waiting_, &sequence);
    sequence.state = Sequence::State::kRunning;
    insert_ranked(running_, &sequence);
    ++r.tenant->n_running;
    ++r.group->n_running;
  }
}

void Core::plan(const StepCosts& costs) {
  candidates_.clear();
  plannable_.clear();
  for (Sequence* sequence : running_) {
    if (sequence->has_expansions) continue;  // waits for other beams
    plannable_.push_back(sequence);
    candidates_.push_back(sequence->candidate());
    candidates_.back().n_served = sequence->request->group->served;
    candidates_.back().tenant_served = sequence->request->tenant->served;
  }
  const Budget budget{options_.max_step_tokens, options_.max_sequences, options_.max_output_rows,
                      static_cast<int>(max_source_len_)};
  plan_step(candidates_, budget, costs, planned_);
  batch_.clear();
  for (const PlannedRows& planned : planned_) {
    Sequence* sequence = plannable_[static_cast<std::size_t>(planned.candidate)];
    sequence->n_rows = planned.n_rows;
    sequence->drafts.clear();
    batch_.push_back(sequence);
  }
  if (max_draft_tokens_ > 0 && costs.measured) propose_drafts(costs);
}

/// What the batch computes, before it is committed.
StepShape Core::shape() const {
  StepShape sum;
  for (const Sequence* s : batch_) {
    const Candidate c = s->candidate();
    add_to_shape(c, s->n_rows + s->drafts.n(), sum);
  }
  return sum;
}

/// Takes blocks for the planned rows. A chunk shrinks to what is free; a sequence that gets no row
/// at all takes the blocks of the last in rank, or waits holding its own when that is itself.
void Core::reserve(StepReservation& reservation) {
  copies_.clear();
  for (Sequence* sequence : batch_) {
    while (sequence->n_rows > 0) {
      const std::int64_t wanted =
          std::int64_t{sequence->n_computed} + sequence->n_rows + sequence->drafts.n();
      const std::int64_t reach = cache_.reachable(sequence->blocks, wanted);
      if (reach > sequence->n_computed &&
          cache_.own(sequence->blocks, sequence->n_computed, copies_)) {
        const int before = sequence->blocks.n_blocks();
        const auto n = static_cast<int>(reach - sequence->n_computed);
        sequence->drafts.keep(n - sequence->n_rows);
        sequence->n_rows = std::min(n, sequence->n_rows);
        reservation.add(sequence, before);
        base::check(cache_.grow(sequence->blocks, reach), "engine: free blocks went away");
        break;
      }
      const bool is_last = running_.back()->request == sequence->request;
      if (is_last && preempt_idle(sequence->request)) continue;
      if (running_.back() == sequence) {
        sequence->n_rows = 0;
      } else {
        preempt(*running_.back());
      }
    }
  }
  batch_.erase(std::remove_if(batch_.begin(), batch_.end(),
                              [](const Sequence* s) { return s->n_rows == 0; }),
               batch_.end());
}

void Core::report_prompt(Sequence& sequence, StepOutput& output, const float* logits) {
  const Candidate c = sequence.candidate();
  const int n = std::min(c.report_end, sequence.n_rows) - c.report_begin;
  if (n <= 0) return;
  const RequestState& r = *sequence.request;
  const int first = sequence.n_computed + c.report_begin;
  sequence.n_reported = first + n;
  if (r.request.prompt_logits) {
    const auto offset =
        static_cast<std::size_t>(sequence.first_output) * static_cast<std::size_t>(vocab_size_);
    emit(sequence, PromptLogits{first, n, logits + offset});
  }
  if (!output.prompt.empty()) {
    emit(sequence, PromptLogprobs{first + 1, std::exchange(output.prompt, {})});
  }
}

void Core::report_hidden(Sequence& sequence, const float* rows) {
  const PromptRows got = sequence.hidden_rows();
  if (got.empty()) return;
  sequence.hidden_next = got.end;
  const auto offset =
      static_cast<std::size_t>(sequence.first_hidden) * static_cast<std::size_t>(hidden_size_);
  emit(sequence, PromptHidden{got.begin, got.end - got.begin, rows + offset});
}

void Core::append_token(Sequence& sequence, sampling::Sample& sample) {
  const RequestState& r = *sequence.request;
  sequence.tokens.push_back(sample.token);
  ++stats_.n_generated_tokens;
  r.tenant->served += 2;
  if (!r.request.stop_token_ids.empty()) lengths_.add_token();
  emit(sequence, TokenEvent{sample.token, sample.logprob, std::exchange(sample.top, {})});
  const auto& stops = r.request.stop_token_ids;
  if (std::find(stops.begin(), stops.end(), sample.token) != stops.end()) {
    end(sequence, FinishReason::kStop);
  } else if (sequence.n_generated() >= r.max_new) {
    end(sequence, FinishReason::kLength);
  }
}

/// The keys and values of a draft that was right are in the blocks with its token.
void Core::append_tokens(Sequence& sequence, std::span<sampling::Sample> samples) {
  learn_drafts(sequence, static_cast<int>(samples.size()) - 1);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (i > 0) advance_computed(sequence, 1);
    append_token(sequence, samples[i]);
    if (sequence.state == Sequence::State::kEnded) return;
  }
}

/// So many more tokens are computed: full blocks can be found by others, blocks that no row sees
/// any more are free.
void Core::advance_computed(Sequence& sequence, int n_rows) {
  const int full_before = sequence.n_computed / options_.block_size;
  sequence.n_computed += n_rows;
  const int full = sequence.n_computed / options_.block_size;
  if (caches_prefix(*sequence.request) && full > full_before) {
    sequence.extend_keys(full, options_.block_size);
    const std::span<const kv::BlockKey> keys(sequence.keys);
    cache_.publish(sequence.blocks, full_before,
                   keys.subspan(static_cast<std::size_t>(full_before),
                                static_cast<std::size_t>(full - full_before)));
  }
  cache_.trim(sequence.blocks, sequence.n_computed);
}

void Core::commit_one(Sequence& sequence, StepOutput& output, const step::Outputs& results) {
  RequestState& r = *sequence.request;
  if (!std::exchange(r.has_started, true)) emit(sequence, StartEvent{step_began_});
  report_prompt(sequence, output, results.logits);
  report_hidden(sequence, results.hidden);
  const bool samples =
      r.max_new > 0 && sequence.n_computed + sequence.n_rows == sequence.n_target();
  if (!samples && !sequence.split_counted &&
      sequence.n_computed + sequence.n_rows < sequence.n_target()) {
    sequence.split_counted = true;
    ++stats_.n_split_prefills;
  }
  r.group->served += sequence.n_rows + sequence.drafts.n() + sequence.n_source_rows();
  advance_computed(sequence, std::exchange(sequence.n_rows, 0));
  sequence.has_encoded = !r.request.source_ids.empty();
  if (samples && r.search != nullptr) {
    std::swap(sequence.expansions, output.expansions);
    sequence.has_expansions = true;
  } else if (samples) {
    append_tokens(sequence, output.samples);
  } else if (sequence.n_computed >= sequence.n_target()) {
    end(sequence, FinishReason::kLength);
  }
  release_held(r);
}

void Core::commit(std::span<StepOutput> outputs, const step::Outputs& results) {
  ++stats_.n_steps;
  stats_.n_step_rows += static_cast<std::int64_t>(step_.token_ids.size());
  stats_.n_step_sequences += static_cast<std::int64_t>(batch_.size());
  // A start, logprobs, logits and hidden states for each of the batch, a token for each row with
  // logits at most, and an end for everyone.
  reserve_more(emissions_, 4 * batch_.size() + step_.logit_rows.size() + running_.size() +
                               static_cast<std::size_t>(n_waiting()));
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    Sequence& sequence = *batch_[i];
    if (sequence.state == Sequence::State::kEnded)
      continue;  // another choice of its request failed
    if (const auto& failure = outputs[i].failure) {
      end_request(*sequence.request, FinishReason::kError,
                  std::make_shared<const base::Failure>(*failure));
    } else {
      commit_one(sequence, outputs[i], results);
    }
  }
  advance_searches();
}

step::Outputs Core::run_step() {
  const step::Outputs results = runner_.run(step_);
  if (results.logits == nullptr && !step_.logit_rows.empty())
    base::fail(ErrorCode::kInternal, "engine: the runner gave no logits");
  if (results.hidden == nullptr && !step_.hidden_rows.empty())
    base::fail(ErrorCode::kInternal, "engine: the runner gave no hidden states");
  return results;
}

void Core::step() {
  const base::Clock::TimePoint start = clock_.now();
  step_began_ = start;
  if (draft_model_ != nullptr) (void)draft_model_->take_seconds();  // of steps that failed
  admit();
  if (running_.empty()) return;
  StepReservation reservation;
  StepCosts costs = costs_.costs();
  plan(costs);
  reserve(reservation);
  if (batch_.empty() && costs.decodes_due) {  // the decodes have no blocks, and the first in rank
    costs.decodes_due = false;                // was left out: it does get on
    plan(costs);
    reserve(reservation);
  }
  while (batch_.empty() && preempt_idle()) {  // beams hold what those need that they wait for
    plan(costs);
    reserve(reservation);
  }
  if (running_.empty()) return reservation.commit();
  // The first in rank always gets a row, so this cannot happen; ending it keeps the others going if
  // it does.
  if (batch_.empty()) {
    end_request(*running_.front()->request, FinishReason::kError,
                make_failure(ErrorCode::kInternal, "engine: no sequence can run"));
    reservation.commit();
    forget_ended();
    return;
  }
  build_step(batch_, step_, copies_);
  FailurePtr failure;
  step::Outputs results;
  try {
    results = run_step();
  } catch (const std::exception& e) {
    failure = std::make_shared<const base::Failure>(base::failure_of(e));
  }
  if (failure == nullptr) {
    const StepShape computed = shape();
    const std::span<StepOutput> outputs = sampler_.sample(runner_, batch_, results.logits);
    reservation.commit();
    const std::int64_t n_tokens = stats_.n_generated_tokens;
    commit(outputs, results);
    measure(computed, std::chrono::duration<double>(clock_.now() - start).count(),
            stats_.n_generated_tokens - n_tokens);
  } else {
    for (Sequence* sequence : batch_)
      end_request(*sequence->request, FinishReason::kError, failure);
    reservation.commit();  // ending freed them all
  }
  forget_ended();
}

}  // namespace openllm::engine

// What a core tells of itself: the load, its counters, its invariants.

#include <algorithm>

#include "base/error.h"
#include "engine/core.h"

namespace openllm::engine {
namespace {

/// Work that is left of a sequence when it computes `n_rows` rows until its next token.
double work_left(const Load& load, const Sequence& s, std::int64_t n_rows) noexcept {
  const RequestState& r = *s.request;
  return load.work_s(n_rows, r.max_new - s.n_generated(), !r.request.stop_token_ids.empty());
}

/// Rows that a waiting sequence will have computed at its first token: choices behind the first
/// find the prompt in the cache.
std::int64_t rows_of_waiting(const Sequence& s) noexcept {
  const RequestState& r = *s.request;
  return r.leader != nullptr && r.leader != &s ? 1 : s.n_target() + s.n_source_rows();
}

}  // namespace

void Core::fill(Load& load) {
  load = Load{.costs = costs_.costs(),
              .n_places = static_cast<int>(max_running_),
              .n_running = static_cast<int>(running_.size()),
              .step_s = step_s_,
              .mean_s = load.mean_s,  // for those that come to an idle engine
              .lengths = lengths_,
              .has_tenants = shares_.has_tenants(),
              .tenants = std::move(load.tenants)};
  load.tenants.clear();
  for (const Sequence* s : running_) {
    const Candidate c = s->candidate();
    if (c.n_remaining == 1 && c.n_source == 0) {
      ++load.n_decoding;
      load.decode_keys += c.n_past + 1;
    } else {
      load.add_prompt(c.n_remaining + c.n_source);
    }
    ++load.of(s->request->tenant->id, s->request->request.priority).n_running;
  }
  const double n_batch = std::max(1, load.n_running);
  const StepShape batch{.decode_rows = n_batch,
                        .decode_keys = load.decode_keys / std::max(1, load.n_decoding) * n_batch};
  load.token_s = seconds(load.costs, batch) / n_batch;
  fill_work(load);
  if (!running_.empty()) load.last_priority = running_.back()->request->request.priority;
}

void Core::fill_work(Load& load) {
  double whole_s = 0;
  for (const Sequence* s : running_) {
    const double left = work_left(load, *s, s->n_target() - s->n_computed + s->n_source_rows());
    load.running_s += left;
    whole_s += left + load.work_s(s->n_computed, s->n_generated(), false);
  }
  ++load_stamp_;
  for (const Sequence* s : waiting_) {
    whole_s += work_left(load, *s, rows_of_waiting(*s));
    Group& group = *s->request->group;
    if (group.n_running > 0 || group.stamp == load_stamp_) continue;
    group.stamp = load_stamp_;
    ++load.of(s->request->tenant->id, s->request->request.priority).n_first;
  }
  load.n_known = static_cast<double>(running_.size() + waiting_.size());
  if (load.n_known > 0) load.mean_s = whole_s / load.n_known;
}

void Core::measure(const StepShape& computed, double step_s, std::int64_t n_tokens) noexcept {
  if (step_s <= 0) return;
  constexpr double kKept = 0.95;  // of what older steps count
  const double draft_s = draft_model_ != nullptr ? draft_model_->take_seconds() : 0;
  if (draft_model_ != nullptr) draft_model_->note_step(step_s);
  costs_.observe(computed, step_s - draft_s);
  recent_s_ = recent_s_ * kKept + step_s;
  recent_tokens_ = recent_tokens_ * kKept + static_cast<double>(n_tokens);
  recent_steps_ = recent_steps_ * kKept + 1;
  step_s_ = recent_s_ / recent_steps_;
}

EngineStats Core::stats() const {
  EngineStats stats = stats_;
  if (draft_model_ != nullptr) draft_model_->fill(stats);
  stats.n_running = static_cast<std::int64_t>(running_.size());
  stats.n_blocks_total = cache_.n_total();
  stats.n_blocks_free = cache_.n_free();
  stats.kv_bytes_total = cache_.bytes_total();
  stats.kv_bytes_touched = cache_.bytes_touched();
  stats.max_running = static_cast<std::int64_t>(max_running_);
  stats.max_waiting = options_.max_queue;
  stats.step_s = step_s_;
  stats.tokens_per_s = recent_s_ > 0 ? recent_tokens_ / recent_s_ : 0.0;
  if (costs_.costs().measured) stats.prompt_rows_per_s = 1.0 / costs_.costs().prompt_row_alone;
  return stats;
}

void Core::check_invariants() const {
  std::vector<const kv::SequenceBlocks*> blocks;
  std::vector<std::int64_t> ids;
  std::int64_t n_held = 0;
  std::size_t n_waiting = 0;
  std::size_t n_running = 0;
  for (const auto& entry : requests_) {
    int n_open = 0;
    for (const auto& s : entry.second->choices) {
      blocks.push_back(&s->blocks);
      if (s->state != Sequence::State::kEnded) ids.push_back(s->id);
      n_held += s->state == Sequence::State::kHeld ? 1 : 0;
      n_waiting += s->state == Sequence::State::kWaiting ? 1U : 0U;
      n_running += s->state == Sequence::State::kRunning ? 1U : 0U;
      n_open += s->state == Sequence::State::kEnded ? 0 : 1;
      base::check(s->state == Sequence::State::kRunning ||
                      (s->blocks.n_blocks() == 0 && !s->blocks.has_source()),
                  "engine: a sequence holds blocks without running");
      base::check(s->n_computed <= s->blocks.n_blocks() * options_.block_size ||
                      s->state != Sequence::State::kRunning,
                  "engine: computed tokens without blocks");
    }
    base::check(n_open == entry.second->n_open && n_open > 0,
                "engine: wrong count of open choices");
  }
  base::check(n_held == n_held_ && n_waiting == waiting_.size() && n_running == running_.size(),
              "engine: sequences and lists disagree");
  base::check(std::is_sorted(running_.begin(), running_.end(), ranks_before) &&
                  std::is_sorted(waiting_.begin(), waiting_.end(), ranks_before),
              "engine: lists out of order");
  cache_.check(blocks);
  if (draft_model_ != nullptr) draft_model_->check(ids);
}

}  // namespace openllm::engine

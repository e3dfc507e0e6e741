#include "backend/pt/runner.h"

#include <utility>

#include "base/error.h"

namespace openllm::backend::pt {
namespace {

/// A forward pass takes as long as it takes: nobody can tell a long one from one that hangs.
constexpr WorkerProcess::Deadline kNoDeadline = WorkerProcess::Deadline::max();

void require_plain(const step::Step& step) {
  if (step.hidden_rows.empty() && step.embeddings.empty() && step.source_ids.empty() &&
      step.visible_end.empty())
    return;
  base::fail(ErrorCode::kUnsupported, "pt: runs sequences of tokens only");
}

}  // namespace

Runner::Runner(WorkerStart start) : start_(std::move(start)), team_(start_.n_host_threads) {
  start_worker();
}

Runner::~Runner() = default;

void Runner::start_worker() {
  const WorkerProcess::Deadline deadline = std::chrono::steady_clock::now() + start_.timeout;
  auto worker = std::make_unique<WorkerProcess>(start_.python, start_.script);
  {
    const base::MutexLock lock(mutex_);
    if (stopping_) base::fail(ErrorCode::kUnavailable, "pt: is told to stop");
    worker_ = std::move(worker);
  }
  has_worked_ = false;
  ++n_started_;
  try {
    worker_->send(make_frame(start_.load), deadline);
    const LoadedModel model = parse_loaded(worker_->receive(deadline));
    if (n_started_ > 1 && model.vocab_size != model_.vocab_size) {
      base::fail(ErrorCode::kUnavailable, "pt: the model changed meanwhile (vocabulary of ",
                 model.vocab_size, " tokens, was ", model_.vocab_size, ")");
    }
    worker_->allocate_logits(static_cast<std::size_t>(start_.max_output_rows) *
                             static_cast<std::size_t>(model.vocab_size));
    model_ = model;
  } catch (const Error& error) {
    last_failure_ = error.what();
    drop_worker();
    throw;
  }
}

void Runner::require_worker() {
  if (worker_ != nullptr) return;
  if (!has_worked_)
    base::fail(ErrorCode::kUnavailable,
               "pt: no worker is started again, as the last one failed "
               "before it computed anything: ",
               last_failure_);
  start_worker();
}

void Runner::drop_worker() noexcept {
  std::unique_ptr<WorkerProcess> gone;
  const base::MutexLock lock(mutex_);
  gone = std::move(worker_);
  freed_.clear();
}

/// Adds the step's tokens to what is known of its sequences. The orders point into that.
std::vector<SequenceOrder> Runner::take_over(const step::Step& step) {
  std::vector<SequenceOrder> orders;
  orders.reserve(step.sequences.size());
  auto wanted = step.logit_rows.begin();
  for (const step::SequenceRows& rows : step.sequences) {
    Known& known = known_[rows.sequence_id];
    if (rows.past_len == 0) known = {};
    base::check(known.tokens.size() == static_cast<std::size_t>(rows.past_len),
                "pt: a step goes on at ", rows.past_len, " of ", known.tokens.size(), " tokens");
    const auto begin = step.token_ids.begin() + rows.first_row;
    known.tokens.insert(known.tokens.end(), begin, begin + rows.n_rows);
    SequenceOrder order{.id = rows.sequence_id, .rope_len = rows.rope_len};
    if (known.worker == n_started_) order.past_len = rows.past_len;
    order.tokens = std::span(known.tokens).subspan(static_cast<std::size_t>(order.past_len));
    for (; wanted != step.logit_rows.end() && *wanted < rows.first_row + rows.n_rows; ++wanted)
      order.outputs.push_back(rows.past_len - order.past_len + *wanted - rows.first_row);
    known.worker = n_started_;
    orders.push_back(std::move(order));
  }
  return orders;
}

step::Outputs Runner::run(const step::Step& step) {
  require_plain(step);
  require_worker();
  const std::vector<SequenceOrder> orders = take_over(step);
  std::string answer;
  try {
    worker_->send(make_step_frame(orders, freed_), kNoDeadline);
    freed_.clear();
    answer = worker_->receive(kNoDeadline);
  } catch (const Error& error) {
    last_failure_ = error.what();
    drop_worker();
    throw;
  }
  std::int64_t n_rows = 0;
  try {
    n_rows = parse_step_done(answer);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kIo) {  // it does not speak our language any more
      last_failure_ = error.what();
      drop_worker();
    }
    throw;
  }
  base::check(n_rows == static_cast<std::int64_t>(step.logit_rows.size()), "pt: the worker gave ",
              n_rows, " rows of logits (expected ", step.logit_rows.size(), ")");
  has_worked_ = true;
  return {.logits = worker_->logits()};
}

void Runner::forget(std::int64_t sequence_id) noexcept {
  const auto found = known_.find(sequence_id);
  if (found == known_.end()) return;
  const bool is_held = worker_ != nullptr && found->second.worker == n_started_;
  known_.erase(found);
  if (!is_held) return;
  try {
    freed_.push_back(sequence_id);
    if (!known_.empty()) return;  // the next step tells it
    worker_->send_soon(make_free_frame(freed_));
    freed_.clear();
  } catch (const std::exception&) {
    return;  // no memory: the worker keeps it, under a number that does not come again
  }
}

void Runner::ask_to_stop() noexcept {
  const base::MutexLock lock(mutex_);
  stopping_ = true;
  if (worker_ != nullptr) worker_->ask_to_stop();
}

pid_t Runner::pid() const noexcept {
  const base::MutexLock lock(mutex_);
  return worker_ == nullptr ? 0 : worker_->pid();
}

}  // namespace openllm::backend::pt

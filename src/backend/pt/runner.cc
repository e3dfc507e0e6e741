#include "backend/pt/runner.h"

#include <exception>
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

class Runner::Turn {
 public:
  explicit Turn(Runner& runner) : runner_(runner) {
    base::MutexLock lock(runner_.mutex_);
    const std::uint64_t mine = runner_.n_turns_taken_++;
    while (runner_.n_turns_over_ != mine) runner_.turn_over_.wait(lock);
  }
  struct Taken {};
  Turn(Runner& runner, Taken /*by the caller*/) noexcept : runner_(runner) {}
  /// What was dropped meanwhile is told before anyone waits for something else.
  ~Turn() {
    while (true) {
      const std::vector<std::int64_t> dropped = runner_.take_dropped();
      if (dropped.empty()) return;
      try {
        runner_.worker_->send_soon(make_drop_frame(dropped));
      } catch (const std::exception&) {
        continue;  // no memory: the worker keeps them, under numbers that do not come again
      }
    }
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Runner& runner_;
};

/// Nothing when there is nothing to tell; the turn is over then.
std::vector<std::int64_t> Runner::take_dropped() noexcept {
  const base::MutexLock lock(mutex_);
  if (worker_ == nullptr) dropped_.clear();
  if (!dropped_.empty()) return std::exchange(dropped_, {});
  ++n_turns_over_;
  turn_over_.notify_all();
  return {};
}

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
    if (n_started_ == 1) model_ = model;
    mount_again(deadline);
  } catch (const Error& error) {
    last_failure_ = error.what();
    drop_worker();
    throw;
  }
}

/// What the worker before had. An adapter whose files are gone or changed fails those who use it.
void Runner::mount_again(WorkerProcess::Deadline deadline) {
  std::map<std::int64_t, std::string> adapters;
  {
    const base::MutexLock lock(mutex_);
    adapters = adapters_;
    lost_.clear();
  }
  for (const auto& [adapter, path] : adapters) {
    worker_->send(make_mount_frame(adapter, path), deadline);
    const std::string answer = worker_->receive(deadline);
    try {
      parse_mounted(answer);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kIo) throw;
      const base::MutexLock lock(mutex_);
      lost_[adapter] = error.what();
    }
  }
}

std::int64_t Runner::mount_adapter(const std::string& path) {
  const Turn turn(*this);
  require_worker();
  std::int64_t adapter = 0;
  {
    const base::MutexLock lock(mutex_);
    adapter = ++last_adapter_;
  }
  std::string answer;
  try {
    const WorkerProcess::Deadline deadline = std::chrono::steady_clock::now() + start_.timeout;
    worker_->send(make_mount_frame(adapter, path), deadline);
    answer = worker_->receive(deadline);
  } catch (const Error& error) {
    last_failure_ = error.what();
    drop_worker();
    base::fail_at(error.code(), "adapters", error.what(), " (when it read ", path, ")");
  }
  parse_mounted(answer);
  has_worked_ = true;
  const base::MutexLock lock(mutex_);
  adapters_[adapter] = path;
  return adapter;
}

void Runner::drop_adapter(std::int64_t adapter) noexcept {
  try {
    const base::MutexLock lock(mutex_);
    adapters_.erase(adapter);
    lost_.erase(adapter);
    dropped_.push_back(adapter);
    if (n_turns_taken_ != n_turns_over_) return;  // whoever has the turn tells it
    ++n_turns_taken_;
  } catch (const std::exception&) {
    return;  // no memory: the worker keeps it
  }
  const Turn told(*this, Turn::Taken());
}

void Runner::mount_sum(std::int32_t number, std::vector<AdapterPart> parts) {
  const base::MutexLock lock(mutex_);
  sums_[number] = std::move(parts);
}

void Runner::unmount_sum(std::int32_t number) noexcept {
  const base::MutexLock lock(mutex_);
  sums_.erase(number);
}

void Runner::require_sum(std::int32_t number) const { (void)parts_of(number); }

std::vector<AdapterPart> Runner::parts_of(std::int32_t sum) const {
  if (sum == 0) return {};
  const base::MutexLock lock(mutex_);
  const auto found = sums_.find(sum);
  base::check(found != sums_.end(), "pt: no sum of adapters has the number ", sum);
  for (const AdapterPart& part : found->second) {
    const auto lost = lost_.find(part.adapter);
    if (lost == lost_.end()) continue;
    base::fail_at(
        ErrorCode::kUnavailable, "adapter_name",
        "the Python worker was started again, and could not read the adapter: ", lost->second);
  }
  return found->second;
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
    SequenceOrder order{
        .id = rows.sequence_id, .rope_len = rows.rope_len, .adapters = parts_of(rows.adapter)};
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
  const Turn turn(*this);
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
  const Turn turn(*this);
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

#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/mutex.h"
#include "base/reserve.h"
#include "base/start_thread.h"
#include "engine/core.h"
#include "engine/validate.h"

namespace openllm::engine {
namespace {

#ifdef NDEBUG
constexpr bool kDebug = false;
#else
constexpr bool kDebug = true;
#endif

struct EndChoice {
  std::string id;
  int choice;  // < 0: all
  FinishReason reason;
};
using Command = std::variant<std::unique_ptr<RequestState>, EndChoice>;

Newcomer newcomer_of(const Request& request) {
  return {.tenant = std::hash<std::string>{}(request.tenant),
          .priority = request.priority,
          .n_prompt = static_cast<std::int64_t>(request.prompt_ids.size()),
          .max_new = request.max_new_tokens,
          .can_end = !request.stop_token_ids.empty(),
          .n_choices = request.n_choices};
}

/// At least a millisecond: 0 says that there is no estimate.
std::chrono::milliseconds retry_after(double seconds) {
  constexpr double kMost = 24 * 3600;
  return std::chrono::milliseconds(
      std::max<std::int64_t>(1, std::llround(std::min(seconds, kMost) * 1e3)));
}

void deliver(Emission& emission) {
  EventSink& sink = *emission.sink;
  if (auto* token = std::get_if<TokenEvent>(&emission.what)) {
    sink.on_token(emission.choice, std::move(*token));
  } else if (auto* logprobs = std::get_if<PromptLogprobs>(&emission.what)) {
    sink.on_prompt_logprobs(logprobs->first, std::move(logprobs->events));
  } else if (const auto* logits = std::get_if<PromptLogits>(&emission.what)) {
    sink.on_prompt_logits(logits->first, logits->n, logits->values);
  } else if (const auto* start = std::get_if<StartEvent>(&emission.what)) {
    sink.on_start(start->when);
  } else if (const auto* end = std::get_if<EndEvent>(&emission.what)) {
    sink.on_end(emission.choice, end->reason, end->n_cached_tokens,
                end->failure != nullptr ? *end->failure : base::Failure{});
  }
}

}  // namespace

/// The core behind an inbox. Other threads call only submit, post and stats; the rest belongs to
/// the engine's thread.
class Engine::Impl {
 public:
  Impl(StepRunner& runner, const EngineOptions& options, const base::Clock& clock,
       bool start_thread)
      : options_(options),
        core_(runner, options, clock),
        max_open_(core_.stats().max_open()),
        stats_(core_.stats()) {
    if (start_thread) thread_ = base::start_thread([this] { loop(); });
  }

  ~Impl() { shut_down(FinishReason::kCancelled, nullptr); }

  void shut_down(FinishReason reason, const FailurePtr& failure) {
    {
      const base::MutexLock lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    take_commands();
    core_.end_all(reason, failure);
    publish();
    emit();
  }

  void submit(Request request) {
    validate_request(request, core_.vocab_size(), core_.max_len());
    if (request.n_choices > max_open_) {  // would not fit an idle engine either
      base::fail_at(ErrorCode::kInvalidArgument, "n",
                    "more choices than the engine holds at once (expected at most ", max_open_,
                    ", got ", request.n_choices, ")");
    }
    const int n_choices = request.n_choices;
    auto state = std::make_unique<RequestState>(std::move(request));
    {
      const base::MutexLock lock(mutex_);
      if (closing_) base::fail(ErrorCode::kUnavailable, "engine: shutting down");
      const Request& r = state->request;
      const std::string group = r.group.empty() ? std::string() : group_key(r.tenant, r.group);
      const bool joins = !group.empty() && open_groups_.contains(group);
      require_room(r, joins);
      base::reserve_more(inbox_, 1);
      base::reserve_more(load_.tenants, 1);
      if (!ids_.try_emplace(r.id, group).second)
        base::fail(ErrorCode::kInvalidArgument, "request: id already in use: ", r.id);
      try {
        if (!group.empty()) ++open_groups_[group];
      } catch (...) {
        ids_.erase(r.id);
        throw;
      }
      state->joins_group = joins;
      if (!joins) add_newcomer(load_, newcomer_of(r));
      inbox_.emplace_back(std::move(state));
      stats_.n_waiting += n_choices;
      ++stats_.n_requests;
      n_inbox_ += n_choices;
    }
    wake_.notify_one();
  }

  void post(Command command) {
    {
      const base::MutexLock lock(mutex_);
      inbox_.push_back(std::move(command));
    }
    wake_.notify_one();
  }

  EngineStats stats() const {
    const base::MutexLock lock(mutex_);
    EngineStats stats = stats_;
    stats.estimated_wait_s = estimate_longest_wait_s(load_);
    return stats;
  }

  bool step() {
    const bool got_commands = take_commands();
    core_.expire_deadlines();
    if (got_commands || !core_.emissions().empty()) {
      publish();
      emit();
    }
    if (core_.is_idle()) return got_commands;
    try {
      core_.step();
      if (kDebug || options_.check_invariants) core_.check_invariants();
    } catch (const std::exception& e) {
      core_.end_all(FinishReason::kError,
                    std::make_shared<const base::Failure>(base::failure_of(e)));
    }
    publish();
    emit();
    return true;
  }

 private:
  void loop() {
    while (true) {
      {
        base::MutexLock lock(mutex_);
        while (!closing_ && inbox_.empty() && core_.is_idle()) wake_.wait(lock);
        if (closing_) return;
      }
      step();
    }
  }

  bool take_commands() {
    {
      const base::MutexLock lock(mutex_);
      commands_.swap(inbox_);
      n_inbox_ = 0;
    }
    for (Command& command : commands_) {
      if (auto* request = std::get_if<std::unique_ptr<RequestState>>(&command)) {
        add(*request);
      } else if (const auto* end = std::get_if<EndChoice>(&command)) {
        core_.end_choice(end->id, end->choice, end->reason);
      }
    }
    const bool any = !commands_.empty();
    commands_.clear();
    return any;
  }

  void add(std::unique_ptr<RequestState>& state) {
    try {
      core_.add(state);
    } catch (const std::exception& e) {
      const Request& request = state->request;
      const base::Failure failure = base::failure_of(e);
      {
        const base::MutexLock lock(mutex_);
        forget(request.id);
      }
      for (int i = 0; i < request.n_choices; ++i)
        request.sink->on_end(i, FinishReason::kError, 0, failure);
    }
  }

  /// Makes the committed state visible, before anyone is told about it.
  void publish() {
    EngineStats latest = core_.stats();
    const base::MutexLock lock(mutex_);
    latest.n_requests = stats_.n_requests;
    latest.n_waiting = core_.n_waiting() + n_inbox_;
    stats_ = latest;
    for (const std::string& id : core_.finished_ids()) forget(id);
    core_.finished_ids().clear();
    publish_load();
  }

  void publish_load() REQUIRES(mutex_) {
    try {
      core_.fill(load_);
      for (const Command& command : inbox_) {
        const auto* state = std::get_if<std::unique_ptr<RequestState>>(&command);
        if (state != nullptr && !(*state)->joins_group)
          add_newcomer(load_, newcomer_of((*state)->request));
      }
    } catch (const std::bad_alloc&) {
      // Estimates miss a tenant until the next step.
    }
  }

  void forget(const std::string& id) REQUIRES(mutex_) {
    const auto found = ids_.find(id);
    if (found == ids_.end()) return;
    const auto group = open_groups_.find(found->second);
    if (group != open_groups_.end() && --group->second <= 0) open_groups_.erase(group);
    ids_.erase(found);
  }

  /// Throws kBusy when the request is one too many, or would wait longer than it wants to. `joins`:
  /// its group was taken before, and it with that.
  void require_room(const Request& request, bool joins) const REQUIRES(mutex_) {
    const std::int64_t n_open = stats_.n_running + stats_.n_waiting + request.n_choices;
    if (n_open > max_open_) {
      base::fail_with(ErrorCode::kBusy,
                      {.retry_after = retry_after(estimate_ends_s(load_, n_open - max_open_))},
                      "engine: queue full (expected at most ", max_open_,
                      " choices running or waiting, got ", n_open, ")");
    }
    if (!request.max_wait || joins) return;
    const double wait_s = estimate_wait_s(load_, newcomer_of(request));
    const double most_s = std::chrono::duration<double>(*request.max_wait).count();
    if (wait_s <= most_s) return;
    base::fail_with(ErrorCode::kBusy, {.retry_after = retry_after(wait_s - most_s)},
                    "engine: too many requests wait (expected to wait at most ", most_s,
                    " s, got about ", wait_s, " s)");
  }

  void emit() {
    for (Emission& emission : core_.emissions()) deliver(emission);
    core_.emissions().clear();
  }

  const EngineOptions options_;
  Core core_;
  const std::int64_t max_open_;
  std::vector<Command> commands_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  std::vector<Command> inbox_ GUARDED_BY(mutex_);
  std::int64_t n_inbox_ GUARDED_BY(mutex_) = 0;  // sequences of the requests in it
  std::unordered_map<std::string, std::string> ids_ GUARDED_BY(mutex_);  // key of the group, if any
  std::unordered_map<std::string, int> open_groups_ GUARDED_BY(mutex_);  // requests, by key
  Load load_ GUARDED_BY(mutex_);
  EngineStats stats_ GUARDED_BY(mutex_);
  bool closing_ GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

Engine::Engine(StepRunner& runner, const EngineOptions& options, const base::Clock& clock,
               bool start_thread)
    : impl_(std::make_unique<Impl>(runner, options, clock, start_thread)) {}
Engine::~Engine() = default;

void Engine::submit(Request request) { impl_->submit(std::move(request)); }
void Engine::cancel(const std::string& id, int choice) {
  impl_->post(EndChoice{id, choice, FinishReason::kCancelled});
}
void Engine::stop_choice(const std::string& id, int choice) {
  impl_->post(EndChoice{id, choice, FinishReason::kStop});
}
EngineStats Engine::stats() const { return impl_->stats(); }
void Engine::shut_down(const base::Failure& failure) {
  impl_->shut_down(FinishReason::kError, std::make_shared<const base::Failure>(failure));
}
bool Engine::step() { return impl_->step(); }

}  // namespace openllm::engine

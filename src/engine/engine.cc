#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/mutex.h"
#include "base/reserve.h"
#include "base/start_thread.h"
#include "engine/core.h"
#include "engine/open_requests.h"
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
  return {
      .tenant = std::hash<std::string>{}(request.tenant),
      .priority = request.priority,
      .n_prompt = static_cast<std::int64_t>(request.prompt_ids.size() + request.source_ids.size()),
      .max_new = request.max_new_tokens,
      .can_end = !request.stop_token_ids.empty(),
      .n_choices = n_sequences(request)};
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
  } else if (const auto* score = std::get_if<ScoreEvent>(&emission.what)) {
    sink.on_score(emission.choice, score->score);
  } else if (auto* logprobs = std::get_if<PromptLogprobs>(&emission.what)) {
    sink.on_prompt_logprobs(logprobs->first, std::move(logprobs->events));
  } else if (const auto* logits = std::get_if<PromptLogits>(&emission.what)) {
    sink.on_prompt_logits(logits->first, logits->n, logits->values);
  } else if (const auto* hidden = std::get_if<PromptHidden>(&emission.what)) {
    sink.on_prompt_hidden(hidden->first, hidden->n, hidden->values);
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
        max_of_request_(core_.stats().max_of_request()),
        max_running_(core_.stats().max_running),
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
    validate_request(request, core_.vocab_size(), core_.max_len(), core_.max_source_len());
    validate_hidden(request, core_.hidden_size(), options_.whole_sequences);
    if (request.n_choices > max_of_request_) {  // an idle engine would not take them either
      base::fail_at(ErrorCode::kInvalidArgument, "n",
                    "more choices than the engine takes at once (expected at most ",
                    max_of_request_, ", got ", request.n_choices, ")");
    }
    const int n_places = n_sequences(request);
    if (is_search(request) && n_places > max_running_) {
      base::fail_at(ErrorCode::kInvalidArgument, "num_beams",
                    "more beams than the engine computes at once (expected at most ", max_running_,
                    ", got ", n_places, ")");
    }
    auto state = std::make_unique<RequestState>(std::move(request), core_.max_len());
    {
      const base::MutexLock lock(mutex_);
      if (closing_) base::fail(ErrorCode::kUnavailable, "engine: shutting down");
      const Request& r = state->request;
      const OpenRequests::Held held = open_.held(r);
      const bool joins = held.by_group > 0;
      require_room(r, held);
      base::reserve_more(inbox_, 1);
      base::reserve_more(load_.tenants, 1);
      open_.add(r);
      state->joins_group = joins;
      if (!joins) add_newcomer(load_, newcomer_of(r));
      inbox_.emplace_back(std::move(state));
      stats_.n_waiting += n_places;
      ++stats_.n_requests;
      n_inbox_ += n_places;
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
        open_.remove(request.id);
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
    for (const std::string& id : core_.finished_ids()) open_.remove(id);
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

  /// Throws kBusy when there are no places for the request, or it would wait longer than it wants
  /// to. `held`: of its group, which was taken before, and it with that, and of its tenant.
  void require_room(const Request& request, const OpenRequests::Held& held) const REQUIRES(mutex_) {
    const Excess excess = count_excess(stats_, held, n_sequences(request), !request.tenant.empty());
    if (excess.n > 0) {
      base::fail_with(ErrorCode::kBusy,
                      {.where = excess.is_of_tenant ? "tenant" : "",
                       .retry_after = retry_after(estimate_ends_s(load_, excess.n))},
                      excess.is_of_tenant ? "tenant: has all places that one may have ("
                                          : "engine: queue full (",
                      stats_.n_running + stats_.n_waiting, " choices run or wait of at most ",
                      stats_.max_open(), ", ", excess.n, " too many for a further request with ",
                      n_sequences(request), ")");
    }
    if (!request.max_wait || held.by_group > 0) return;
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
  const std::int64_t max_of_request_;  // of an idle engine
  const std::int64_t max_running_;
  std::vector<Command> commands_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  std::vector<Command> inbox_ GUARDED_BY(mutex_);
  std::int64_t n_inbox_ GUARDED_BY(mutex_) = 0;  // sequences of the requests in it
  OpenRequests open_ GUARDED_BY(mutex_);
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

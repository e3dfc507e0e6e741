#include "net/http_loop.h"

#include <algorithm>
#include <climits>
#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "net/transfer.h"

namespace openllm::net {

class HttpLoop::Impl {
 public:
  Impl() {
    initialise_curl();
    multi_ = curl_multi_init();
    if (multi_ == nullptr)
      base::fail(ErrorCode::kResourceExhausted, "http: cannot make a curl handle");
    try {
      thread_ = base::start_thread([this] { run(); });
    } catch (...) {
      curl_multi_cleanup(multi_);
      throw;
    }
  }

  ~Impl() {
    stop();
    curl_multi_cleanup(multi_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void post(Task task) {
    {
      const base::MutexLock lock(mutex_);
      if (is_stopping_) return;
      tasks_.push_back(std::move(task));
    }
    curl_multi_wakeup(multi_);
  }

  void stop() {
    {
      const base::MutexLock lock(mutex_);
      is_stopping_ = true;
    }
    curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
  }

  Id start(HttpCall call, OnEnd on_end) {
    const Id id = ++last_id_;
    Call& entry = calls_[id];
    if (call.on_body) {  // nothing may come after a cancellation within the same bytes
      call.on_body = [&entry, on_body = std::move(call.on_body)](std::string_view bytes) {
        return !entry.is_cancelled && on_body(bytes) && !entry.is_cancelled;
      };
    }
    entry.on_end = std::move(on_end);
    entry.call.emplace(std::move(call));
    new_calls_.push_back(id);
    return id;
  }

  void cancel(Id id) {
    const auto found = calls_.find(id);
    if (found == calls_.end() || found->second.is_cancelled) return;
    found->second.is_cancelled = true;
    cancelled_.push_back(id);
  }

  Id start_timer(TimePoint when, Task task) {
    const Id id = ++last_id_;
    timers_.emplace(std::pair(when, id), std::move(task));
    timer_times_.emplace(id, when);
    return id;
  }

  void cancel_timer(Id id) {
    const auto found = timer_times_.find(id);
    if (found == timer_times_.end()) return;
    timers_.erase({found->second, id});
    timer_times_.erase(found);
  }

 private:
  struct Call {
    std::optional<HttpCall> call{};        ///< Until it begins.
    std::unique_ptr<Transfer> transfer{};  ///< From then on.
    OnEnd on_end{};
    bool is_cancelled = false;
  };

  void run() {
    while (true) {
      const bool is_last = run_tasks();
      run_timers();
      if (is_last) break;
      remove_cancelled();
      begin_calls();
      int n_running = 0;
      curl_multi_perform(multi_, &n_running);
      end_calls();
      if (new_calls_.empty() && cancelled_.empty())
        curl_multi_poll(multi_, nullptr, 0, poll_ms(), nullptr);
    }
    for (auto& [id, call] : calls_) {
      if (call.transfer != nullptr) curl_multi_remove_handle(multi_, call.transfer->handle());
    }
    calls_.clear();
    timers_.clear();
    timer_times_.clear();
  }

  /// True when there will be no more.
  bool run_tasks() {
    std::deque<Task> tasks;
    bool is_stopping = false;
    {
      const base::MutexLock lock(mutex_);
      tasks.swap(tasks_);
      is_stopping = is_stopping_;
    }
    for (const Task& task : tasks) task();
    return is_stopping;
  }

  void run_timers() {
    const TimePoint now = std::chrono::steady_clock::now();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      const Task task = std::move(timers_.begin()->second);
      timer_times_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
      task();
    }
  }

  /// libcurl takes no handles while it calls us, so calls begin and go between its turns.
  void begin_calls() {
    for (const Id id : std::exchange(new_calls_, {})) {
      const auto found = calls_.find(id);
      if (found == calls_.end()) continue;
      Call& call = found->second;
      try {
        call.transfer = std::make_unique<Transfer>(*std::exchange(call.call, std::nullopt));
        base::check(curl_multi_add_handle(multi_, call.transfer->handle()) == CURLM_OK,
                    "http: a call cannot begin");
        ids_[call.transfer->handle()] = id;
      } catch (...) {
        end(id, {{}, std::current_exception()});
      }
    }
  }

  void remove_cancelled() {
    for (const Id id : std::exchange(cancelled_, {})) {
      const auto found = calls_.find(id);
      if (found == calls_.end()) continue;
      detach(found->second);
      calls_.erase(found);
    }
  }

  void end_calls() {
    int n_left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &n_left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      const auto found = ids_.find(message->easy_handle);
      if (found == ids_.end()) continue;
      const Id id = found->second;
      Call& call = calls_.at(id);
      detach(call);
      if (call.is_cancelled) continue;  // goes with the others of its kind
      Result result;
      try {
        result.answer = call.transfer->finish(code);
      } catch (...) {
        result.error = std::current_exception();
      }
      end(id, std::move(result));
    }
  }

  void detach(Call& call) {
    if (call.transfer == nullptr || ids_.erase(call.transfer->handle()) == 0) return;
    curl_multi_remove_handle(multi_, call.transfer->handle());
  }

  void end(Id id, Result result) {
    const auto node = calls_.extract(id);
    if (!node.mapped().is_cancelled) node.mapped().on_end(std::move(result));
  }

  /// The silence of calls is looked at twice a second.
  int poll_ms() const {
    constexpr std::int64_t kMostMs = 500;
    if (timers_.empty()) return kMostMs;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        timers_.begin()->first.first - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, kMostMs));
  }

  CURLM* multi_ = nullptr;
  base::Mutex mutex_;
  std::deque<Task> tasks_ GUARDED_BY(mutex_);
  bool is_stopping_ GUARDED_BY(mutex_) = false;

  // Of the thread.
  Id last_id_ = 0;
  std::map<Id, Call> calls_;
  std::map<CURL*, Id> ids_;  // of those that libcurl has
  std::vector<Id> new_calls_;
  std::vector<Id> cancelled_;
  std::map<std::pair<TimePoint, Id>, Task> timers_;
  std::map<Id, TimePoint> timer_times_;
  std::thread thread_;  // last: it uses everything above
};

HttpLoop::HttpLoop() : impl_(std::make_unique<Impl>()) {}
HttpLoop::~HttpLoop() = default;

void HttpLoop::post(Task task) { impl_->post(std::move(task)); }
void HttpLoop::stop() { impl_->stop(); }
HttpLoop::Id HttpLoop::start(HttpCall call, OnEnd on_end) {
  return impl_->start(std::move(call), std::move(on_end));
}
void HttpLoop::cancel(Id call) { impl_->cancel(call); }
HttpLoop::Id HttpLoop::start_timer(TimePoint when, Task task) {
  return impl_->start_timer(when, std::move(task));
}
void HttpLoop::cancel_timer(Id timer) { impl_->cancel_timer(timer); }

}  // namespace openllm::net

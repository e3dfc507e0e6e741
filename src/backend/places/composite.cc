#include "backend/places/composite.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "backend/choose.h"
#include "backend/places/adapters.h"
#include "backend/places/relay.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/worker.h"
#include "engine/validate.h"
#include "net/http_loop.h"

namespace openllm::backend::places {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kHealthInterval{2};
/// A server that did not answer so often in a row has lost what it had, though connections to it
/// may look alive; if nobody else is there, it may as well be slow.
constexpr int kLostAfter = 3;
/// Between two attempts to take in a server that is there and cannot be used.
constexpr std::chrono::seconds kLongestPause{60};

bool is_another_up(const Roster& roster, std::size_t place) {
  const std::vector<PlaceStats> places = roster.stats();
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i != place && places[i].is_up) return true;
  }
  return false;
}

class Composite final : public Backend {
 public:
  Composite(std::vector<PlaceSource> sources, std::string api_key)
      : api_key_(std::move(api_key)),
        roster_(std::move(sources), clock_),
        adapters_(roster_),
        relay_(roster_, clock_,
               [this](std::function<void()> task) { loop_.post(std::move(task)); }),
        pauses_(roster_.size()) {}
  ~Composite() override { shut_down({ErrorCode::kCancelled, "the backend is gone"}); }
  Composite(const Composite&) = delete;
  Composite& operator=(const Composite&) = delete;

  void load();

  Capabilities capabilities() const noexcept override { return roster_.capabilities(); }
  int vocab_size() const noexcept override { return roster_.vocab_size(); }
  int max_model_len() const noexcept override { return roster_.max_model_len(); }
  SourceFacts source() const noexcept override { return roster_.source_facts(); }
  std::string device() const override;
  std::string isa() const override { return {}; }

  void submit(engine::Request request) override {
    engine::validate_request(request, vocab_size(), max_model_len(), source().max_len);
    // As in the shortest of the places, wherever it runs and goes on.
    const auto room = max_model_len() - static_cast<int>(request.prompt_ids.size());
    request.max_new_tokens = std::min(request.max_new_tokens, room);
    std::shared_ptr<const AdapterUses> adapters;  // as find_adapter gave them
    if (request.adapter > 0)
      adapters = std::static_pointer_cast<const AdapterUses>(std::move(request.keeps));
    relay_.submit(std::move(request), std::move(adapters));
  }
  /// Servers get the paths of this machine, if a place is in this process.
  bool reads_adapters() const noexcept override;
  void mount_adapter(const AdapterOptions& adapter) override { adapters_.mount(adapter); }
  void unmount_adapter(const std::string& name) override { adapters_.unmount(name); }
  std::vector<AdapterOptions> adapters() const override { return adapters_.list(true); }
  std::vector<AdapterOptions> known_adapters() const override { return adapters_.list(false); }
  /// Places have numbers of their own.
  AdapterUse find_adapter(const std::string& name) override { return {1, adapters_.find(name)}; }
  void cancel(const std::string& id) override { relay_.cancel(id); }
  void stop_choice(const std::string& id, int choice) override { relay_.stop_choice(id, choice); }
  EngineStats stats() const override;
  void shut_down(const base::Failure& failure) override;

 private:
  /// When a server that is not loaded is to be tried again, and how long to wait after that.
  struct Pause {
    Clock::time_point until{};
    std::chrono::seconds next{kHealthInterval};
    bool is_loading = false;
  };

  void watch();
  void ask_health(std::size_t place);
  void take_in(std::size_t place);
  void load_late(std::size_t place) noexcept;
  void bring_back(std::size_t place);
  void bring_back_now(std::size_t place) noexcept;

  const base::SteadyClock clock_;
  const std::string api_key_;
  Roster roster_;
  Adapters adapters_;
  Relay relay_;
  std::vector<Pause> pauses_;  // on the loop's thread
  base::Mutex mutex_;
  bool is_shut_down_ GUARDED_BY(mutex_) = false;
  net::HttpLoop loop_;
  std::optional<base::Worker> loader_{std::in_place};  // last: its tasks use all of it
};

void Composite::load() {
  std::string reasons;
  std::optional<Error> first;
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    const std::string& name = roster_.source(i).name;
    try {
      roster_.admit(i, roster_.source(i).load());
    } catch (const Error& error) {
      if (!is_matter_of_backend(error)) throw;
      roster_.keep_out(i, error.what());
      reasons += base::cat(reasons.empty() ? "" : "; ", name, ": ", error.what());
      if (!first) first = error;
    }
  }
  if (roster_.loaded().empty())
    throw Error(first->code(), base::cat("places: none can be loaded: ", reasons), first->where(),
                first->reason());
  roster_.settle();
  loop_.post([this] { watch(); });
}

bool Composite::reads_adapters() const noexcept {
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    if (roster_.source(i).url.empty() && roster_.is_loaded(i)) return true;
  }
  return false;
}

std::string Composite::device() const {
  std::string names;
  for (std::size_t i = 0; i < roster_.size(); ++i)
    names += (i == 0 ? "" : ", ") + roster_.source(i).name;
  return names;
}

EngineStats Composite::stats() const {
  EngineStats all = relay_.counts();
  bool is_bounded = true;
  bool is_first = true;
  for (const Backend* place : roster_.loaded()) {
    const EngineStats one = place->stats();
    all.n_running += one.n_running;
    all.n_waiting += one.n_waiting;
    all.n_steps += one.n_steps;
    all.n_step_rows += one.n_step_rows;
    all.n_step_sequences += one.n_step_sequences;
    all.n_cached_tokens += one.n_cached_tokens;
    all.n_generated_tokens += one.n_generated_tokens;
    all.n_draft_tokens += one.n_draft_tokens;
    all.n_accepted_drafts += one.n_accepted_drafts;
    all.n_model_draft_tokens += one.n_model_draft_tokens;
    all.n_accepted_model_drafts += one.n_accepted_model_drafts;
    all.n_draft_model_rows += one.n_draft_model_rows;
    all.n_draft_model_failures += one.n_draft_model_failures;
    all.draft_model_s += one.draft_model_s;
    all.n_preemptions += one.n_preemptions;
    all.n_split_prefills += one.n_split_prefills;
    all.n_blocks_total += one.n_blocks_total;
    all.n_blocks_free += one.n_blocks_free;
    all.kv_bytes_total += one.kv_bytes_total;
    all.kv_bytes_touched += one.kv_bytes_touched;
    all.max_running += one.max_running;
    all.max_waiting += one.max_waiting;
    is_bounded = is_bounded && one.max_open() > 0;
    all.step_s = std::max(all.step_s, one.step_s);
    all.prompt_rows_per_s += one.prompt_rows_per_s;
    all.tokens_per_s += one.tokens_per_s;
    all.estimated_wait_s =
        is_first ? one.estimated_wait_s : std::min(all.estimated_wait_s, one.estimated_wait_s);
    is_first = false;
  }
  if (!is_bounded) all.max_running = all.max_waiting = 0;
  all.places = roster_.stats();
  return all;
}

/// First the places end what they have, then what is between two of them.
void Composite::shut_down(const base::Failure& failure) {
  {
    const base::MutexLock lock(mutex_);
    if (std::exchange(is_shut_down_, true)) return;
  }
  relay_.close(failure);
  for (Backend* place : roster_.close()) place->shut_down(failure);
  loop_.stop();
  loader_.reset();
  relay_.end_all();
}

void Composite::watch() {
  for (std::size_t i = 0; i < roster_.size(); ++i) {
    if (!roster_.source(i).url.empty()) ask_health(i);
  }
  loop_.start_timer(Clock::now() + kHealthInterval, [this] { watch(); });
}

void Composite::ask_health(std::size_t place) {
  net::HttpCall call;
  call.where = roster_.source(place).name;
  call.url = roster_.source(place).url + "/health";
  call.api_key = api_key_;
  call.deadline = Clock::now() + kHealthInterval;
  loop_.start(std::move(call), [this, place](const net::HttpLoop::Result& result) {
    const bool is_well = !result.error && result.answer.status == 200;
    if (is_well && !roster_.is_loaded(place)) return take_in(place);
    if (is_well && !roster_.is_well(place) && adapters_.is_changed()) return bring_back(place);
    const int n = roster_.tell_health(place, is_well, "does not answer");
    if (n >= kLostAfter && is_another_up(roster_, place)) relay_.give_up(place);
  });
}

void Composite::take_in(std::size_t place) {
  Pause& pause = pauses_[place];
  if (pause.is_loading || Clock::now() < pause.until) return;
  pause.is_loading = true;
  pause.until = Clock::now() + pause.next;
  pause.next = std::min(kLongestPause, pause.next * 2);
  loader_->post([this, place] {
    load_late(place);
    loop_.post([this, place] { pauses_[place].is_loading = false; });
  });
}

void Composite::load_late(std::size_t place) noexcept {
  try {
    adapters_.admit(place, roster_.source(place).load());
  } catch (const std::exception& error) {
    roster_.keep_out(place, base::failure_of(error).message);
  }
}

/// Before it counts as well, so that requests find their adapters there.
void Composite::bring_back(std::size_t place) {
  if (std::exchange(pauses_[place].is_loading, true)) return;
  loader_->post([this, place] {
    bring_back_now(place);
    loop_.post([this, place] { pauses_[place].is_loading = false; });
  });
}

void Composite::bring_back_now(std::size_t place) noexcept {
  try {
    const std::string reason = adapters_.bring_back(place);
    roster_.tell_health(place, true, {});
    if (!reason.empty()) roster_.keep_out(place, reason);
  } catch (const std::exception& error) {
    roster_.tell_health(place, false, base::failure_of(error).message);
  }
}

}  // namespace

std::unique_ptr<Backend> make_composite(std::vector<PlaceSource> sources,
                                        const std::string& api_key) {
  auto composite = std::make_unique<Composite>(std::move(sources), api_key);
  composite->load();
  return composite;
}

}  // namespace openllm::backend::places

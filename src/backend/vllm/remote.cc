#include "backend/vllm/remote.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "backend/vllm/adapters.h"
#include "backend/vllm/dispatcher.h"
#include "base/error.h"
#include "base/mutex.h"
#include "fields/field.h"
#include "net/http_loop.h"
#include "sampling/sampler.h"

namespace openllm::backend::vllm {
namespace {

void require_valid(const engine::Request& request, int vocab_size, int max_model_len) {
  const auto n_prompt = static_cast<std::int64_t>(request.prompt_ids.size());
  if (n_prompt == 0) {
    base::fail_with(ErrorCode::kInvalidArgument, {"prompt"},
                    "request: empty prompt (expected at least one token)");
  }
  for (const std::int32_t id : request.prompt_ids) {
    if (id >= 0 && id < vocab_size) continue;
    base::fail_with(ErrorCode::kInvalidArgument, {"prompt"}, "request: no such id (expected 0 to ",
                    vocab_size - 1, ", got ", id, ")");
  }
  if (n_prompt + 1 > max_model_len) {
    base::fail_with(ErrorCode::kInvalidArgument, {"prompt", ErrorReason::kContextTooLong},
                    "request: the prompt leaves no room for an answer (expected at most ",
                    max_model_len - 1, " tokens, got ", n_prompt, ")");
  }
  if (request.n_choices < 1 || request.n_choices > engine::kMaxChoices) {
    base::fail_with(ErrorCode::kInvalidArgument, {"n"}, "request: n: out of range (expected 1 to ",
                    engine::kMaxChoices, ", got ", request.n_choices, ")");
  }
  if (request.prompt_logits)
    base::fail(ErrorCode::kUnsupported, "logits: servers do not give them");
  base::check(request.n_answered == 0 && request.first_choice == 0,
              "vllm: servers cannot be told of an answer's beginning");
  sampling::validate(request.sampling, vocab_size);
}

Capabilities capabilities_of(const std::vector<Server>& servers) {
  Capabilities capabilities = remote_capabilities();
  capabilities.draws_as_engine = std::all_of(
      servers.begin(), servers.end(), [](const Server& server) { return server.repeats_seeds; });
  return capabilities;
}

class RemoteBackend final : public Backend {
 public:
  explicit RemoteBackend(RemoteModel model)
      : capabilities_(capabilities_of(model.servers)),
        vocab_size_(model.vocab_size > 0 ? model.vocab_size : std::numeric_limits<int>::max()),
        max_model_len_(model.max_model_len),
        n_slots_(model.n_slots),
        version_(std::move(model.version)),
        health_interval_(model.health_interval),
        adapters_(model.servers, model.api_key, std::move(model.adapters),
                  [this](std::size_t server, std::set<std::string> names) {
                    loop_.post([this, server, names = std::move(names)] {
                      dispatcher_.set_adapters(server, names);
                    });
                  }),
        dispatcher_(loop_, std::move(model.servers), std::move(model.api_key), counters_) {
    if (model.started != nullptr) {
      keeper_ =
          std::make_unique<Keeper>(std::move(model.started), std::move(model.start),
                                   [this](const std::string& url) { adapters_.restore(0, url); });
    }
    loop_.post([this] {
      if (keeper_ != nullptr) dispatcher_.set_keeper(*keeper_);
      dispatcher_.watch(health_interval_);
    });
  }
  ~RemoteBackend() override { shut_down({ErrorCode::kCancelled, "the backend is gone"}); }
  RemoteBackend(const RemoteBackend&) = delete;
  RemoteBackend& operator=(const RemoteBackend&) = delete;

  Capabilities capabilities() const noexcept override { return capabilities_; }
  int vocab_size() const noexcept override { return vocab_size_; }
  int max_model_len() const noexcept override { return max_model_len_; }
  std::string device() const override { return "remote"; }
  std::string isa() const override { return version_; }
  int n_slots() const override { return n_slots_; }

  void submit(engine::Request request) override {
    require_valid(request, vocab_size_, max_model_len_);
    const auto room = max_model_len_ - static_cast<int>(request.prompt_ids.size());
    request.max_new_tokens = std::min(request.max_new_tokens, room);
    const base::MutexLock lock(mutex_);
    if (is_shut_down_) base::fail(ErrorCode::kUnavailable, "vllm: is shutting down");
    ++counters_.n_requests;
    counters_.n_prompt_tokens += static_cast<std::int64_t>(request.prompt_ids.size());
    auto shared = std::make_shared<engine::Request>(std::move(request));  // tasks are copied
    loop_.post([this, shared, adapter = adapters_.choice_of(shared->adapter)] {
      dispatcher_.begin(std::move(*shared), adapter);
    });
  }
  void cancel(const std::string& id) override {
    loop_.post([this, id] { dispatcher_.cancel(id); });
  }
  void stop_choice(const std::string& id, int choice) override {
    loop_.post([this, id, choice] { dispatcher_.stop_choice(id, choice); });
  }

  void mount_adapter(const AdapterOptions& adapter) override { adapters_.mount(adapter); }
  void unmount_adapter(const std::string& name) override { adapters_.unmount(name); }
  std::vector<AdapterOptions> adapters() const override { return adapters_.list(); }
  std::vector<AdapterOptions> known_adapters() const override { return adapters_.known(); }
  AdapterUse find_adapter(const std::string& name) override { return {adapters_.find(name), {}}; }

  EngineStats stats() const override {
    EngineStats stats;
    stats.n_requests = counters_.n_requests;
    stats.n_finished = counters_.n_finished;
    stats.n_running = counters_.n_running;
    stats.n_prompt_tokens = counters_.n_prompt_tokens;
    stats.n_cached_tokens = counters_.n_cached_tokens;
    stats.n_generated_tokens = counters_.n_generated_tokens;
    return stats;
  }

  void shut_down(const base::Failure& failure) override {
    {
      const base::MutexLock lock(mutex_);
      if (std::exchange(is_shut_down_, true)) return;
    }
    loop_.post([this, failure] { dispatcher_.end_all(failure); });
    loop_.stop();
    keeper_.reset();
  }

 private:
  const Capabilities capabilities_;
  const int vocab_size_;
  const int max_model_len_;
  const int n_slots_;
  const std::string version_;
  const std::chrono::milliseconds health_interval_;
  base::Mutex mutex_;
  bool is_shut_down_ GUARDED_BY(mutex_) = false;
  Counters counters_;
  net::HttpLoop loop_;
  mutable Adapters adapters_;  // asks servers what they have
  Dispatcher dispatcher_;      // on the loop's thread, which `shut_down` has ended before it goes
  std::unique_ptr<Keeper> keeper_;  // ended by `shut_down`, too
};

}  // namespace

Capabilities remote_capabilities() {
  Capabilities capabilities;
  capabilities.is_repeatable = false;
  capabilities.draws_as_engine = false;
  capabilities.continues_answers = false;
  capabilities.adapters = true;
  for (const fields::Field& field : fields::all()) {
    if (field.at_vllm != fields::AtVllm::kLacking) capabilities.fields.emplace_back(field.name);
  }
  return capabilities;
}

std::unique_ptr<Backend> make_remote_backend(RemoteModel model) {
  return std::make_unique<RemoteBackend>(std::move(model));
}

}  // namespace openllm::backend::vllm

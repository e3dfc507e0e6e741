#pragma once

#include <condition_variable>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/mutex.h"
#include "openllm/options.h"
#include "openllm/stream.h"

namespace openllm::client {

/// A call to a server that runs on a thread of its own, as its reader sees it. Outputs that arrive
/// between two reads are merged. Destroying it ends the call.
class Request final : public detail::OutputSource {
 public:
  /// Makes the call: gives each new part of the answer to `on_delta` and returns the end of it.
  using Call = std::function<void(const std::stop_token& stop,
                                  const std::function<void(const GenerationOutput&)>& on_delta)>;

  /// Throws kResourceExhausted when there is no thread for it.
  Request(Call call, const GenerateOptions& options);
  ~Request() override;

  const GenerationOutput* next() override;
  void cancel() noexcept override;
  bool is_ready(Until until) override;
  bool suspend(std::coroutine_handle<> handle, Until until) override;
  void require_accepted() override;

 private:
  /// What the call and its reader share.
  struct Shared {
    base::Mutex mutex{};
    base::CondVar wake{};
    std::optional<GenerationOutput> news GUARDED_BY(mutex){};
    std::exception_ptr failure GUARDED_BY(mutex){};
    bool is_over GUARDED_BY(mutex) = false;
    std::coroutine_handle<> waiter GUARDED_BY(mutex){};
    Until waits_for GUARDED_BY(mutex) = Until::kOutput;
    bool only_final = false;
    Executor executor{};
    std::stop_source stop{};

    bool is_ready(Until until) const noexcept REQUIRES(mutex);
    void add(const GenerationOutput& delta);
    void end(std::exception_ptr error);
    void resume_waiter();
  };
  static void wake(const std::shared_ptr<Shared>& shared);

  const OutputKind kind_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::optional<std::stop_callback<std::function<void()>>> on_stop_{};
  GenerationOutput output_{};
  bool is_over_ = false;  // the reader has seen the end
  std::thread thread_{};
};

/// Adds the new parts of a kDelta output to one of that kind, or to a cumulative one.
void append_delta(GenerationOutput& to, const GenerationOutput& delta, OutputKind kind);

}  // namespace openllm::client

#pragma once

#include <string>

#include "base/failure.h"
#include "engine/request.h"
#include "openllm/stats.h"

namespace openllm::backend {

/// Request fields that a backend honours, one flag each. The layer above refuses what is missing
/// instead of dropping it.
struct Capabilities {
  bool logprobs = false;
  bool prompt_logprobs = false;
  bool prompt_logits = false;
  bool seed = false;
};

/// A loaded model that runs requests: token ids in, tokens and logprobs out. Text lives above.
/// Thread safety: every method from any thread.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Capabilities capabilities() const noexcept = 0;
  virtual int vocab_size() const noexcept = 0;
  /// Longest sequence, prompt and answer.
  virtual int max_model_len() const noexcept = 0;
  virtual std::string device() const = 0;
  virtual std::string isa() const = 0;
  /// As engine::Engine.
  virtual void submit(engine::Request request) = 0;
  virtual void cancel(const std::string& id) = 0;
  virtual void stop_choice(const std::string& id, int choice) = 0;
  virtual EngineStats stats() const = 0;
  /// Ends every request with FinishReason::kError and `failure`; later ones are refused with
  /// kUnavailable. Returns once no thread of the backend runs. Called at most once, and not by an
  /// EventSink.
  virtual void shut_down(const base::Failure& failure) = 0;
};

}  // namespace openllm::backend

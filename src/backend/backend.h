#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "format/checkpoint.h"
#include "openllm/options.h"

namespace openllm::backend {

/// What a backend can do with a request. The layer above refuses what is missing instead of
/// dropping it.
struct Capabilities {
  bool logprobs = false;
  bool prompt_logprobs = false;
  bool prompt_logits = false;
  bool seed = false;
};

/// Runs requests: token ids in, tokens and logprobs out. Text lives above.
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
  virtual engine::Stats stats() const = 0;
};

/// A backend that `--backend` can name.
struct BackendEntry {
  std::string name;
  bool available = false;
  std::string reason;  ///< Why not, or what it is.
  std::unique_ptr<Backend> (*load)(const format::Checkpoint&, const LoadOptions&) = nullptr;
};

/// All names, in the order of preference: vllm, native, pt.
std::vector<BackendEntry> backends();

struct Choice {
  BackendEntry entry;
  std::string reason;  ///< One sentence: asked for, set by the environment, or best available.
};
/// `requested` wins over the environment variable OPENLLM_BACKEND, which wins over probing. Throws
/// kNotFound for an unknown name and kUnavailable for one that this machine cannot run.
Choice choose_backend(const std::string& requested);

/// The longest sequence that `options` allow for a model made for `model_limit` positions. Throws
/// kInvalidArgument.
int resolve_max_model_len(const LoadOptions& options, int model_limit);

}  // namespace openllm::backend

#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "openllm/llm.h"
#include "openllm/server.h"
#include "server/admission.h"

namespace openllm::server {

/// Whether a model can answer.
struct Readiness {
  enum class State { kLoading, kReady, kFailed };
  State state = State::kLoading;
  std::string reason{};  ///< Of a failure.
  ModelInfo info{};      ///< Set once ready.
  /// When its files changed last, in seconds since 1970; unset while nobody knows.
  std::optional<std::int64_t> changed{};
};

/// "loading", "ready" or "failed".
const char* to_string(Readiness::State state) noexcept;

/// One model of a server: its names, how far its loading is, and who is let in.
/// Thread safety: every method from any thread, but `admission`.
class ModelEntry {
 public:
  /// Throws kInvalidArgument for an LLM that was moved from.
  explicit ModelEntry(ServedModel model, Admission::Seconds max_wait = {});

  const LLM& llm() const noexcept { return model_.llm; }
  /// The name that answers show unless the request gave another one.
  const std::string& name() const noexcept { return model_.name; }
  /// The names that /v1/models lists: `name` and the aliases, each once.
  const std::vector<std::string>& names() const noexcept { return names_; }
  bool is_named(std::string_view name) const;
  /// True for the names that the model has by itself: its id, its tag, and its path once it is
  /// loaded.
  bool is_known_as(std::string_view name) const;

  /// Loads the model; blocks. A failure ends in `readiness`.
  void load();
  /// Ends loading with this failure.
  void fail(std::exception_ptr failure);
  Readiness readiness() const;
  /// Blocks until `load` has ended on another thread; throws the error of a failed one.
  void wait_until_loaded() const;
  /// Fails with kUnavailable when loading has failed. Requests that come while the model loads wait
  /// for it.
  void require_loadable() const;
  /// The error of requests that a failure of loading ends, whatever the failure was.
  static Error load_failure(std::string_view reason);
  /// On the I/O thread only.
  Admission& admission() const noexcept { return admission_; }

 private:
  void set(Readiness readiness, std::exception_ptr failure);

  ServedModel model_;
  std::vector<std::string> names_;
  mutable Admission admission_;
  mutable base::Mutex mutex_;
  mutable base::CondVar loaded_;
  Readiness readiness_ GUARDED_BY(mutex_);
  std::exception_ptr failure_ GUARDED_BY(mutex_){};
};

/// The models of a server, which may be none. The first one answers requests that name none.
/// Thread safety: every method from any thread.
class ModelSet {
 public:
  /// `first_aliases`: further names of the first model; "*" makes it answer under every name that
  /// no model has. `max_wait`: as Admission's, of each. Throws kInvalidArgument for aliases of no
  /// model and for names that two models have.
  ModelSet(std::vector<ServedModel> models, const std::vector<std::string>& first_aliases,
           Admission::Seconds max_wait = {});

  const std::vector<std::unique_ptr<ModelEntry>>& entries() const noexcept { return entries_; }

  /// Loads the models one after the other, so that each takes its cache of the memory that the ones
  /// before left. Blocks.
  void load();
  /// Lets `load` end after the model that it is at; the others fail.
  void stop_loading() noexcept { is_stopping_ = true; }
  /// Blocks until `load` has ended on another thread; throws the first failure.
  void wait_until_loaded() const;

  /// A model and the name that an answer shows.
  struct Selection {
    const ModelEntry* entry = nullptr;
    std::string name{};
    std::string adapter{};  ///< The name is that of an adapter of the model.

    /// Has a request whose GenerateOptions or EmbedOptions these are use that adapter. Throws
    /// kInvalidArgument where it names another one.
    template <typename Options>
    void apply_to(Options& options) const {
      if (!adapter.empty()) options.adapter_name = adapter_beside(options.adapter_name);
    }
    const std::string& adapter_beside(const std::string& wanted) const;
  };
  /// The model of that name, or the one that has an adapter of that name; fails with
  /// "model_not_found". An empty name means the first model.
  Selection require(const std::string& name) const;

 private:
  const ModelEntry* find(const std::string& name) const;

  std::vector<std::unique_ptr<ModelEntry>> entries_;
  bool takes_any_name_ = false;
  std::atomic<bool> is_stopping_{false};
};

}  // namespace openllm::server

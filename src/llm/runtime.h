#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/choose.h"
#include "base/mutex.h"
#include "base/worker.h"
#include "llm/local_model.h"
#include "openllm/options.h"

namespace openllm::llm {

/// The running side of a model: its backend while it is loaded, and the threads that serve its
/// requests. Thread safety: every method from any thread.
class Runtime {
 public:
  /// Chooses one of `entries`; loads nothing.
  Runtime(LocalModel& model, const LoadOptions& options,
          std::vector<backend::BackendEntry> entries = backend::backends());
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// False in a process that was forked from the one that loaded the model: it has none of the
  /// threads, and locks may be held by them for ever. Nothing may be destroyed there.
  bool is_of_this_process() const noexcept;
  /// Throws kUnsupported there. Otherwise threads may be started: the Runtime belongs to this
  /// process.
  void require_this_process();

  const LoadOptions& options() const noexcept { return options_; }
  /// The backend that is loaded, or will be first.
  backend::Choice choice() const;
  /// Its name; "none" when no backend can run the model.
  std::string backend_name() const;

  /// The name of LoadOptions::draft_model; empty: there is none.
  std::string draft_model() const { return draft_ ? draft_->id : std::string(); }

  /// The backend. The first call loads it, and the tokenizer; a failed attempt can be repeated.
  /// Where nobody named a backend and the chosen one cannot load, the next takes its place. Throws
  /// why no backend can run the model.
  std::shared_ptr<backend::Backend> load();
  /// Null while it is not loaded.
  std::shared_ptr<backend::Backend> backend_or_null() const;
  /// Ends what runs with kUnavailable and gives the memory back; `load` loads again. Waits for a
  /// `load` on another thread.
  void unload();

  /// Mounts an adapter in the loaded backend, and in each that is loaded after it. Throws as
  /// Backend::mount_adapter.
  void mount_adapter(AdapterOptions adapter);
  void unmount_adapter(const std::string& name);

  /// Turns tokens into text. Shared with the sinks: an answer may end after the Runtime.
  const std::shared_ptr<base::Worker>& output() const noexcept { return output_; }
  /// Resumes coroutines: those of a request one after the other, those of several side by side.
  const std::shared_ptr<base::Worker>& resume() const noexcept { return resume_; }
  /// Prepares prompts of asynchronous requests.
  base::TwoPriorityPool& front() noexcept { return front_; }
  /// The same for those that wait until the model's files have been read.
  base::Worker& reading() noexcept { return reading_; }

 private:
  /// Throws kInvalidArgument in a progress callback, whose thread has the lock already.
  void require_not_loading_here() const;
  std::shared_ptr<backend::Backend> load_chosen() REQUIRES(load_mutex_);
  void mount_all(backend::Backend& loaded) const;

  void check_draft_tokens() const;

  LocalModel& model_;
  const std::optional<format::ModelSource> draft_;
  const LoadOptions options_;
  const std::vector<backend::BackendEntry> entries_;

  std::atomic<int> process_{0};                    // id; 0 before the first thread
  base::Mutex load_mutex_;                         // held while loading and unloading
  std::atomic<std::thread::id> loading_thread_{};  // holds it to load
  mutable base::Mutex backend_mutex_;
  backend::Choice choice_ GUARDED_BY(backend_mutex_);
  std::shared_ptr<backend::Backend> backend_ GUARDED_BY(backend_mutex_);  // null: not loaded
  std::vector<AdapterOptions> adapters_ GUARDED_BY(backend_mutex_);  // to mount in a new backend

  // Threads, made by their first task.
  const std::shared_ptr<base::Worker> output_;
  const std::shared_ptr<base::Worker> resume_;
  base::TwoPriorityPool front_;
  base::Worker reading_;
};

}  // namespace openllm::llm

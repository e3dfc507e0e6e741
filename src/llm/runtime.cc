#include "llm/runtime.h"

#include <unistd.h>

#include <utility>

#include "base/error.h"
#include "base/system_limits.h"

namespace openllm::llm {

Runtime::Runtime(LocalModel& model, const LoadOptions& options,
                 std::vector<backend::BackendEntry> entries)
    : model_(model),
      options_(options),
      entries_(std::move(entries)),
      choice_(backend::choose_backend(entries_, model.source(), options)),
      output_(std::make_shared<base::Worker>()),
      resume_(std::make_shared<base::Worker>()) {}

Runtime::~Runtime() {
  // Here, because a sink may hold the backend for a moment: it must not be the backend's own thread
  // that finds itself the last holder and waits for its own end. Nobody reads the failure.
  if (backend_ != nullptr) backend_->shut_down({ErrorCode::kCancelled, "the LLM is gone"});
}

bool Runtime::is_of_this_process() const noexcept {
  const int process = process_.load(std::memory_order_relaxed);
  return process == 0 || process == ::getpid();
}

void Runtime::require_this_process() {
  const int here = ::getpid();
  int process = 0;
  if (process_.compare_exchange_strong(process, here, std::memory_order_relaxed) || process == here)
    return;
  base::fail(ErrorCode::kUnsupported, model_.id(), ": was loaded by process ", process,
             ", and its threads stayed there (make an LLM in the forked process)");
}

std::shared_ptr<backend::Backend> Runtime::backend_or_null() const {
  const base::MutexLock lock(backend_mutex_);
  return backend_;
}

backend::Choice Runtime::choice() const {
  const base::MutexLock lock(backend_mutex_);
  return choice_;
}

std::string Runtime::backend_name() const {
  const base::MutexLock lock(backend_mutex_);
  return choice_.entry ? choice_.entry->name : "none";
}

/// Loads the choice, or while loading fails, the one after it.
std::shared_ptr<backend::Backend> Runtime::load_chosen() {
  while (true) {
    const backend::Choice now = choice();
    try {
      return now.require().load(model_.source(), options_);
    } catch (const Error& error) {
      auto next = backend::choose_next(now, error, entries_, model_.source(), options_);
      if (!next) throw;
      const base::MutexLock lock(backend_mutex_);
      choice_ = *std::move(next);
    }
  }
}

std::shared_ptr<backend::Backend> Runtime::load() {
  if (auto loaded = backend_or_null()) return loaded;
  const base::MutexLock lock(load_mutex_);
  if (auto loaded = backend_or_null()) return loaded;
  (void)choice().require();  // before threads and tokenizer
  require_this_process();
  if (options_.progress) options_.progress("loading tokenizer", 0.0);
  (void)model_.tokenizer();
  std::shared_ptr<backend::Backend> loaded = load_chosen();
  // Now, so that a lack of threads is not found out request by request.
  output_->start();
  resume_->start();
  front_.start();
  {
    const base::MutexLock backend_lock(backend_mutex_);
    backend_ = loaded;
  }
  if (options_.progress) options_.progress("ready", 1.0);
  return loaded;
}

void Runtime::unload() {
  require_this_process();
  const base::MutexLock lock(load_mutex_);
  std::shared_ptr<backend::Backend> loaded;
  {
    const base::MutexLock backend_lock(backend_mutex_);
    loaded = std::exchange(backend_, nullptr);
  }
  if (loaded == nullptr) return;
  loaded->shut_down({ErrorCode::kUnavailable, base::cat(model_.id(), ": was unloaded")});
  loaded.reset();
  model_.drop_tokenizer();
  base::return_free_memory();
}

}  // namespace openllm::llm

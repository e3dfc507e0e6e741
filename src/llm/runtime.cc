#include "llm/runtime.h"

#include <unistd.h>

#include <exception>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "backend/check_options.h"
#include "base/error.h"
#include "base/system_limits.h"
#include "llm/adapter_files.h"
#include "llm/draft_model.h"
#include "store/file_times.h"
#include "store/names.h"

namespace openllm::llm {
namespace {

/// Coroutines that compute for long delay others only when there are more of them. A thread is
/// made when one is needed.
constexpr std::size_t kMaxResumeThreads = 16;

/// Whatever `progress` throws comes out as one kind of Error, which no one takes for a failure of
/// the files or of a backend.
ProgressCallback guarded(const ProgressCallback& progress) {
  if (!progress) return {};
  return [progress](const std::string& stage, double fraction) {
    const auto fail = [](std::string_view what) {
      std::throw_with_nested(
          Error(ErrorCode::kCancelled,
                base::cat("progress: the callback ended loading with an exception (", what, ")"),
                "progress"));
    };
    try {
      progress(stage, fraction);
    } catch (const std::exception& error) {
      fail(error.what());
    } catch (...) {
      fail("which is no std::exception");
    }
  };
}

/// Says for its lifetime that the calling thread loads.
class LoadingHere {
 public:
  explicit LoadingHere(std::atomic<std::thread::id>& thread) : thread_(thread) {
    thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }
  ~LoadingHere() { thread_.store({}, std::memory_order_relaxed); }
  LoadingHere(const LoadingHere&) = delete;
  LoadingHere& operator=(const LoadingHere&) = delete;

 private:
  std::atomic<std::thread::id>& thread_;
};

/// With a name, and a path that means the same in another process. Throws kInvalidArgument where
/// "adapters" for one without id.
AdapterOptions named_adapter(AdapterOptions adapter) {
  if (adapter.id.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "adapters",
                  "one has no id (expected a folder, a GGUF file, or a name on a hub)");
  }
  adapter.name = backend::name_of(adapter);
  std::error_code ignored;
  const std::filesystem::path path = store::expand_home(adapter.id);
  if (store::is_path(adapter.id) || std::filesystem::exists(path, ignored))
    adapter.id = std::filesystem::absolute(path).lexically_normal().string();
  return adapter;
}

/// As this machine has it, for a backend that reads it itself: what a hub has is fetched.
AdapterOptions here(AdapterOptions adapter, const backend::Backend& backend,
                    const LoadOptions& options) {
  if (backend.reads_adapters()) adapter.id = find_adapter_files(adapter.id, options);
  return adapter;
}

/// All of them; also kInvalidArgument for a name that comes twice.
std::vector<AdapterOptions> named_adapters(std::vector<AdapterOptions> adapters) {
  std::set<std::string> names;
  for (AdapterOptions& adapter : adapters) {
    adapter = named_adapter(std::move(adapter));
    if (!names.insert(adapter.name).second) {
      base::fail_at(ErrorCode::kInvalidArgument, "adapters", "two have one name (got ",
                    adapter.name, ")");
    }
  }
  return adapters;
}

LoadOptions prepared(LoadOptions options, const std::optional<format::ModelSource>& draft) {
  options.progress = guarded(options.progress);
  if (draft) options.draft_model = std::filesystem::absolute(draft->path).string();
  options.adapters = named_adapters(std::move(options.adapters));
  return options;
}

}  // namespace

Runtime::Runtime(LocalModel& model, const LoadOptions& options,
                 std::vector<backend::BackendEntry> entries)
    : model_(model),
      draft_(find_draft(options)),
      options_(prepared(options, draft_)),
      entries_(std::move(entries)),
      choice_(backend::choose_backend(entries_, model.source(), options_)),
      adapters_(options_.adapters),
      output_(std::make_shared<base::Worker>(base::ThreadRole::kServing)),
      resume_(std::make_shared<base::Worker>(base::ThreadRole::kServing, kMaxResumeThreads)),
      front_(base::ThreadRole::kServing),
      reading_(base::ThreadRole::kServing) {}

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

/// Loads the choice, or while loading fails, the one after it. When all fail, what the first one
/// said is the error, and it is the choice again.
std::shared_ptr<backend::Backend> Runtime::load_chosen() {
  const backend::Choice first = choice();
  std::optional<Error> failure;
  while (true) {
    const backend::Choice now = choice();
    try {
      std::shared_ptr<backend::Backend> loaded = now.require().load(model_.source(), options_);
      mount_all(*loaded);
      return loaded;
    } catch (const Error& error) {
      auto next = backend::choose_next(now, error, entries_, model_.source(), options_);
      const bool could_not =
          error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kUnavailable;
      if (!next && !failure && (now.refusals.empty() || !could_not)) throw;
      if (!next && !failure) {  // else nobody would learn why the model came to this backend
        throw Error(error.code(), base::cat(error.what(), "; ", now.refusals), error.where(),
                    error.reason());
      }
      const base::MutexLock lock(backend_mutex_);
      choice_ = next ? *std::move(next) : first;
      if (!next) {
        throw Error(failure->code(),
                    base::cat(failure->what(), "; ", now.entry->name, " instead: ", error.what()),
                    failure->where(), failure->reason());
      }
      if (!failure) failure = error;
    }
  }
}

void Runtime::mount_all(backend::Backend& loaded) const {
  std::vector<AdapterOptions> adapters;
  {
    const base::MutexLock lock(backend_mutex_);
    adapters = adapters_;
  }
  for (const AdapterOptions& adapter : adapters)
    loaded.mount_adapter(here(adapter, loaded, options_));
}

void Runtime::mount_adapter(AdapterOptions adapter) {
  adapter = named_adapter(std::move(adapter));
  const std::shared_ptr<backend::Backend> loaded = load();
  loaded->mount_adapter(here(adapter, *loaded, options_));
  const base::MutexLock lock(backend_mutex_);
  std::erase_if(adapters_, [&](const auto& known) { return known.name == adapter.name; });
  adapters_.push_back(std::move(adapter));
}

void Runtime::unmount_adapter(const std::string& name) {
  load()->unmount_adapter(name);
  const base::MutexLock lock(backend_mutex_);
  std::erase_if(adapters_, [&](const auto& known) { return known.name == name; });
}

void Runtime::require_not_loading_here() const {
  if (loading_thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) return;
  base::fail(ErrorCode::kInvalidArgument, model_.id(),
             ": is being loaded by this thread (a progress callback must not use its LLM)");
}

std::shared_ptr<backend::Backend> Runtime::load() {
  if (auto loaded = backend_or_null()) return loaded;
  require_not_loading_here();
  const base::MutexLock lock(load_mutex_);
  const LoadingHere here(loading_thread_);
  if (auto loaded = backend_or_null()) return loaded;
  (void)choice().require();  // before threads and tokenizer
  require_this_process();
  if (options_.progress) options_.progress("loading tokenizer", 0.0);
  (void)model_.tokenizer();
  if (draft_) check_draft_tokens();
  std::shared_ptr<backend::Backend> loaded = load_chosen();
  store::note_use_of(model_.source().path);
  // Now, so that a lack of threads is not found out request by request.
  output_->start();
  resume_->start();
  front_.start();
  if (options_.progress) options_.progress("ready", 1.0);  // it may still throw
  const base::MutexLock backend_lock(backend_mutex_);
  backend_ = loaded;
  return loaded;
}

/// Before weights are read.
void Runtime::check_draft_tokens() const {
  LoadOptions alone = options_;
  alone.draft_model.clear();
  const auto n_tokens = [&](const format::ModelSource& source) {
    return choice().require().describe(source, alone).vocab_size;
  };
  const auto tokens = model_.tokenizer();
  const bool has_tokens = tokens != nullptr;
  require_same_tokens(tokens.get(), has_tokens ? 0 : n_tokens(model_.source()), *draft_,
                      has_tokens ? 0 : n_tokens(*draft_), options_.tokenizer_pre);
}

void Runtime::unload() {
  require_this_process();
  require_not_loading_here();
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

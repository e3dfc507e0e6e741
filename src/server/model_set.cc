#include "server/model_set.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

std::string list_names(const std::vector<std::unique_ptr<ModelEntry>>& entries) {
  std::string list;
  for (const auto& entry : entries) list += (list.empty() ? "" : ", ") + entry->name();
  return list;
}

std::string reason_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {  // LoadOptions::progress may throw anything
    return "something was thrown that is no std::exception";
  }
}

/// When the file or folder was changed last, in seconds since 1970.
std::optional<std::int64_t> change_time(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(path, error);
  if (error) return std::nullopt;
  const auto since = fs::file_time_type::clock::to_sys(time).time_since_epoch();
  return std::chrono::floor<std::chrono::seconds>(since).count();
}

}  // namespace

const char* to_string(Readiness::State state) noexcept {
  switch (state) {
    case Readiness::State::kLoading:
      return "loading";
    case Readiness::State::kReady:
      return "ready";
    case Readiness::State::kFailed:
      break;
  }
  return "failed";
}

ModelEntry::ModelEntry(ServedModel model, Admission::Seconds max_wait)
    : model_(std::move(model)), admission_(max_wait) {
  (void)model_.llm.config();  // throws for one that was moved from, which could serve nobody
  if (model_.name.empty()) model_.name = model_.llm.id();
  names_.push_back(model_.name);
  for (const std::string& alias : model_.aliases) {
    if (alias.empty()) base::fail_at(ErrorCode::kInvalidArgument, "models", "a name is empty");
    if (!is_named(alias)) names_.push_back(alias);
  }
}

bool ModelEntry::is_named(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

bool ModelEntry::is_known_as(std::string_view name) const {
  if (name == model_.llm.id() || name == model_.llm.tag()) return true;
  const base::MutexLock lock(mutex_);
  return readiness_.state == Readiness::State::kReady && name == readiness_.info.path;
}

void ModelEntry::load() {
  try {
    model_.llm.load();
    ModelInfo info = model_.llm.info();
    const std::optional<std::int64_t> changed = change_time(info.path);
    set({Readiness::State::kReady, "", std::move(info), changed}, nullptr);
  } catch (...) {
    fail(std::current_exception());
  }
}

void ModelEntry::fail(std::exception_ptr failure) {
  std::string reason = reason_of(failure);
  set({Readiness::State::kFailed, std::move(reason), {}, {}}, std::move(failure));
}

void ModelEntry::set(Readiness readiness, std::exception_ptr failure) {
  const base::MutexLock lock(mutex_);
  readiness_ = std::move(readiness);
  failure_ = std::move(failure);
  loaded_.notify_all();
}

Readiness ModelEntry::readiness() const {
  const base::MutexLock lock(mutex_);
  return readiness_;
}

void ModelEntry::wait_until_loaded() const {
  base::MutexLock lock(mutex_);
  while (readiness_.state == Readiness::State::kLoading) loaded_.wait(lock);
  if (failure_) std::rethrow_exception(failure_);
}

void ModelEntry::require_loadable() const {
  const base::MutexLock lock(mutex_);
  if (readiness_.state == Readiness::State::kFailed) throw load_failure(readiness_.reason);
}

Error ModelEntry::load_failure(std::string_view reason) {
  return {ErrorCode::kUnavailable, base::cat("model: could not be loaded (", reason, ")"), "",
          ErrorReason::kModelNotLoaded};
}

ModelSet::ModelSet(std::vector<ServedModel> models, const std::vector<std::string>& first_aliases,
                   Admission::Seconds max_wait) {
  for (const std::string& alias : first_aliases) {
    if (models.empty()) {
      base::fail_at(ErrorCode::kInvalidArgument, "aliases", alias,
                    " is of no model (there are none)");
    }
    if (alias == "*") {
      takes_any_name_ = true;
    } else {
      models.front().aliases.push_back(alias);
    }
  }
  std::set<std::string> taken;
  for (ServedModel& model : models) {
    entries_.push_back(std::make_unique<ModelEntry>(std::move(model), max_wait));
    for (const std::string& name : entries_.back()->names()) {
      if (taken.insert(name).second) continue;
      base::fail_at(ErrorCode::kInvalidArgument, "models", "two models have the name ", name,
                    " (give one of them another name)");
    }
  }
}

void ModelSet::load() {
  for (const auto& entry : entries_) {
    if (is_stopping_) {
      entry->fail(std::make_exception_ptr(
          Error(ErrorCode::kUnavailable, entry->name() + ": the server stopped before it loaded")));
    } else {
      entry->load();
    }
  }
}

void ModelSet::wait_until_loaded() const {
  std::exception_ptr first_failure;
  for (const auto& entry : entries_) {
    try {
      entry->wait_until_loaded();
    } catch (...) {
      if (!first_failure) first_failure = std::current_exception();
    }
  }
  if (first_failure) std::rethrow_exception(first_failure);
}

/// Given names come first. An id, tag or path selects only if a single model has it.
const ModelEntry* ModelSet::find(const std::string& name) const {
  const auto named = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry->is_named(name); });
  if (named != entries_.end()) return named->get();
  const auto is_known = [&](const auto& entry) { return entry->is_known_as(name); };
  const auto known = std::find_if(entries_.begin(), entries_.end(), is_known);
  if (known == entries_.end()) return nullptr;
  const bool is_shared = std::any_of(known + 1, entries_.end(), is_known);
  return is_shared ? nullptr : known->get();
}

const std::string& ModelSet::Selection::adapter_beside(const std::string& wanted) const {
  if (wanted.empty() || wanted == adapter) return adapter;
  base::fail_at(ErrorCode::kInvalidArgument, "adapter_name",
                "stands beside a model that is an adapter (expected nothing or ", adapter, ", got ",
                wanted, ")");
}

ModelSet::Selection ModelSet::require(const std::string& name) const {
  if (entries_.empty()) {
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                    "model: this server has none");
  }
  const ModelEntry& first = *entries_.front();
  if (name.empty()) return {&first, first.name(), {}};
  if (const ModelEntry* entry = find(name)) return {entry, name, {}};
  for (const auto& entry : entries_) {
    for (const AdapterOptions& adapter : entry->llm().adapters(false)) {
      if (adapter.name == name) return {entry.get(), name, name};
    }
  }
  if (takes_any_name_) return {&first, name, {}};
  constexpr std::size_t kMaxShown = 200;
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                  "model: the model `", name.substr(0, kMaxShown),
                  "` does not exist (this server has ", list_names(entries_), ")");
}

}  // namespace openllm::server

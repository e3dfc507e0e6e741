#include "server/app.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

/// 1 if equal. Runs over the whole of `given`, so that its duration says nothing about `key`.
unsigned constant_time_equal(std::string_view given, std::string_view key) noexcept {
  unsigned difference = given.size() == key.size() ? 0U : 1U;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = key.empty() ? '\0' : key[i % key.size()];
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^
                                        static_cast<unsigned char>(expected));
  }
  return difference == 0U ? 1U : 0U;
}

}  // namespace

App::App(LLM llm, ServerOptions options)
    : llm_(std::move(llm)),
      options_(std::move(options)),
      cors_(options_.allowed_origins),
      start_time_(std::time(nullptr)) {
  (void)llm_.config();  // throws for one that was moved from, which could serve nobody
}

void App::load() {
  Readiness result;
  std::exception_ptr failure;
  try {
    llm_.load();
    result.info = llm_.info();
    result.state = Readiness::State::kReady;
  } catch (const std::exception& error) {
    result.state = Readiness::State::kFailed;
    result.reason = error.what();
    failure = std::current_exception();
  } catch (...) {  // LoadOptions::progress may throw anything
    result.state = Readiness::State::kFailed;
    result.reason = "something was thrown that is no std::exception";
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    readiness_ = std::move(result);
    failure_ = std::move(failure);
  }
  loaded_.notify_all();
}

Readiness App::readiness() const {
  const std::lock_guard lock(mutex_);
  return readiness_;
}

void App::wait_until_loaded() const {
  std::unique_lock lock(mutex_);
  loaded_.wait(lock, [this] { return readiness_.state != Readiness::State::kLoading; });
  if (failure_) std::rethrow_exception(failure_);
}

void App::require_loadable() const {
  const std::lock_guard lock(mutex_);
  if (readiness_.state == Readiness::State::kFailed) throw load_failure(readiness_.reason);
}

Error App::load_failure(std::string_view reason) {
  return {ErrorCode::kUnavailable, base::cat("model: could not be loaded (", reason, ")"), "",
          ErrorReason::kModelNotLoaded};
}

std::vector<std::string> App::model_names() const {
  std::vector<std::string> names{llm_.id()};
  for (const std::string& alias : options_.model_aliases) {
    if (alias != "*" && alias != llm_.id()) names.push_back(alias);
  }
  return names;
}

bool App::knows_model(const std::string& name) const {
  const auto& aliases = options_.model_aliases;
  return name == llm_.id() || std::find(aliases.begin(), aliases.end(), name) != aliases.end() ||
         std::find(aliases.begin(), aliases.end(), "*") != aliases.end();
}

std::string App::require_model(const std::string& name) const {
  if (name.empty()) return llm_.id();
  if (knows_model(name)) return name;
  constexpr std::size_t kMaxShown = 200;
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                  "model: the model `", name.substr(0, kMaxShown),
                  "` does not exist (this server has ", llm_.id(), ")");
}

bool App::is_authorized(std::string_view authorization) const noexcept {
  if (options_.api_keys.empty()) return true;
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  std::string_view key = authorization.substr(kScheme.size());
  while (!key.empty() && key.front() == ' ') key.remove_prefix(1);
  unsigned matches = 0;
  for (const std::string& known : options_.api_keys) matches |= constant_time_equal(key, known);
  return matches != 0 && !key.empty();
}

}  // namespace openllm::server

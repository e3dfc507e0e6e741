#include "server/visit.h"

#include "base/error.h"

namespace openllm::server {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = Admission::Seconds;

/// Whether another tenant would have been taken.
bool is_of_tenant(const Error& error) noexcept { return error.where() == "tenant"; }

}  // namespace

std::chrono::milliseconds to_milliseconds(Seconds seconds) {
  return std::chrono::ceil<std::chrono::milliseconds>(seconds);
}

Error busy_error(const std::string& what, Seconds wait) {
  return {ErrorCode::kBusy, what, {}, ErrorReason::kNone, to_milliseconds(wait)};
}

Error long_wait_error(Seconds wait, Seconds allowed) {
  return busy_error(base::cat("server: too many requests wait (expected at most ", allowed.count(),
                              " s of waiting, got ", wait.count(), ")"),
                    wait - allowed);
}

bool has_room(const EngineStats& stats, std::int64_t n) {
  return stats.max_open() == 0 || n <= stats.max_of_request(stats.n_running + stats.n_waiting);
}

const char* lacking(const LLM& llm, std::int64_t n, const Error& error) {
  if (is_of_tenant(error)) return "share";
  return has_room(llm.stats(), n) ? "wait" : "queue";
}

Visit::Visit(const Call& call, const ModelEntry& model)
    : llm_(model.llm()),
      admission_(model.admission()),
      visitor_{call.app.tenant_of(call.exchange.request()),
               fingerprint(call.exchange.request().path, call.exchange.request().body)} {
  admission_.entered(visitor_);
}

Visit::~Visit() {
  const Seconds wait(llm_.stats().estimated_wait_s);
  admission_.left(visitor_, was_taken_, admission_.is_long(wait), Clock::now());
}

std::optional<std::chrono::milliseconds> Visit::allowed_wait() {
  const std::optional<Seconds> allowed = admission_.allowed_wait(visitor_, Clock::now());
  if (!allowed) return std::nullopt;
  if (!llm_.is_loaded()) return to_milliseconds(*allowed);  // all wait for that
  // Prompts that are being tokenized are not in the engine's estimate.
  const auto n_others = static_cast<double>(admission_.n_entering() - 1);
  const Seconds wait = Seconds(llm_.stats().estimated_wait_s) + n_others * admission_.interval();
  if (wait > *allowed && admission_.n_inside(visitor_.tenant) > 1)
    throw long_wait_error(wait, *allowed);
  return to_milliseconds(*allowed);
}

void Visit::taken() {
  was_taken_ = true;
  admission_.taken(visitor_, Clock::now());
}

Error Visit::refused(const Error& error) {
  const Seconds wait = admission_.refused(visitor_, error.retry_after(), Clock::now());
  if (is_of_tenant(error))  // a client knows its key alone
    return busy_error("server: this API key has all places that one may have", wait);
  return {error.code(), error.what(), error.where(), error.reason(), to_milliseconds(wait)};
}

}  // namespace openllm::server

// What a dispatcher does when the server that was started for it is dead.

#include <utility>

#include "backend/vllm/dispatcher.h"
#include "backend/vllm/keeper.h"

namespace openllm::backend::vllm {
namespace {

/// A request that two servers died of is not given to a third one.
constexpr int kMaxWaits = 2;

}  // namespace

bool Dispatcher::is_kept(const Trouble& trouble, const Job& job) const {
  return keeper_ != nullptr && trouble.is_broken && job.n_waits < kMaxWaits;
}

void Dispatcher::wait_for_server(Waiting waiting) {
  ++waiting.job->n_waits;
  const bool is_known_dead = kept_ == KeptServer::kDead || kept_ == KeptServer::kStarting;
  if (is_known_dead && !waiting.goes_on)
    return end_job(waiting.job, FinishReason::kError, {ErrorCode::kUnavailable, "vllm: " + end_});
  waiting_.push_back(std::move(waiting));
  if (kept_ == KeptServer::kDead) return start_server();
  if (kept_ != KeptServer::kWell) return;
  kept_ = KeptServer::kExamined;
  keeper_->find_out([this](const std::optional<std::string>& end) {
    loop_.post([this, end] { server_was_examined(end); });
  });
}

void Dispatcher::server_was_examined(const std::optional<std::string>& end) {
  kept_ = end ? KeptServer::kDead : KeptServer::kWell;
  end_ = end.value_or("");
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    if (waiting.job->is_over) continue;
    if (end && waiting.goes_on) {
      waiting_.push_back(std::move(waiting));
      continue;
    }
    if (!end && waiting.goes_on && waiting.failure.message.empty()) {
      resume(waiting);  // it came meanwhile
      continue;
    }
    base::Failure failure = waiting.failure;
    if (end) failure = {ErrorCode::kUnavailable, "vllm: " + *end};
    end_job(waiting.job, FinishReason::kError, failure);
  }
  if (!waiting_.empty()) start_server();
}

void Dispatcher::start_server() {
  kept_ = KeptServer::kStarting;
  keeper_->start_again([this](const std::string& url, const base::Failure& failure) {
    loop_.post([this, url, failure] { server_was_started(url, failure); });
  });
}

void Dispatcher::server_was_started(const std::string& url, const base::Failure& failure) {
  kept_ = url.empty() ? KeptServer::kDead : KeptServer::kWell;
  if (!url.empty()) servers_.move(0, url);
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    if (url.empty()) {
      end_job(waiting.job, FinishReason::kError, failure);
    } else {
      resume(waiting);
    }
  }
}

}  // namespace openllm::backend::vllm

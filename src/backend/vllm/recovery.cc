// What a dispatcher does when a call fails or a server is gone.

#include <algorithm>
#include <exception>
#include <utility>

#include "backend/continuation.h"
#include "backend/vllm/dispatcher.h"
#include "base/error.h"
#include "net/server_error.h"
#include "net/url.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

/// A server that did not answer so often in a row has lost its calls, though their connections may
/// look alive.
constexpr int kLostAfter = 3;

base::Failure failure_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return base::failure_of(known);
  } catch (...) {
    return {ErrorCode::kInternal, "vllm: a call failed"};
  }
}

}  // namespace

base::Failure refusal_of(const net::HttpAnswer& answer, const std::string& url) {
  const Error error = net::make_error(answer.status, answer.body);
  base::Failure failure = base::failure_of(error);
  failure.retry_after = answer.retry_after.value_or(std::chrono::milliseconds(0));
  if (answer.status == 503 && answer.retry_after) failure.code = ErrorCode::kBusy;
  if (answer.status == 401 || answer.status == 403) {
    failure.where = "vllm.api_key";
    failure.message =
        base::cat("vllm.api_key: ", net::shown_url(url), " refuses the key (", error.what(), ")");
  }
  return failure;
}

std::optional<Trouble> Dispatcher::trouble_of(Job& job, Leg& leg,
                                              const net::HttpLoop::Result& result) {
  const std::string& url = servers_.at(leg.server).url;
  if (result.error) return Trouble{failure_of(result.error), true, true, true};
  const net::HttpAnswer& answer = result.answer;
  if (answer.status != 200) {
    base::Failure failure = refusal_of(answer, url);
    const bool can_recover = may_work_elsewhere(failure);
    return Trouble{std::move(failure), can_recover, can_recover && answer.status != 429};
  }
  try {
    if (!answer.body.empty() && !leg.is_done) {  // a server that does not stream
      take(job, leg, answer.body);
      leg.is_done = true;
    }
  } catch (const std::exception& error) {
    return Trouble{base::failure_of(error), true, false};
  }
  if (!leg.held_end) {
    return Trouble{{ErrorCode::kIo,
                    base::cat("vllm: ", net::shown_url(url), ": the answer ended in the middle")},
                   true,
                   true,
                   true};
  }
  if (leg.is_done && leg.n_counted != leg.n_tokens) {
    return Trouble{
        {ErrorCode::kIo, base::cat("vllm: ", net::shown_url(url), ": tokens were lost (expected ",
                                   leg.n_counted ? std::to_string(*leg.n_counted) : "their number",
                                   ", got ", leg.n_tokens, ")")},
        false,
        false};
  }
  return std::nullopt;
}

/// Elsewhere: the same call when it has given nothing, else its choices one by one, each with what
/// it has.
void Dispatcher::recover(const JobPtr& job, Leg& leg, const Trouble& trouble) {
  const bool goes_on = !leg.has_tokens || can_go_on(*job, leg);
  std::vector<std::vector<int>> calls = calls_of(*job, leg);
  if (is_kept(trouble, *job)) {
    drop_leg(*job, leg);
    return wait_for_server({job, std::move(calls), goes_on, trouble.failure});
  }
  job->tried.insert(leg.server);
  if (!goes_on || !servers_.has_other(job->tried, job->adapter))
    return end_job(job, FinishReason::kError, trouble.failure);
  drop_leg(*job, leg);
  resume({job, std::move(calls)});
}

/// The same call again, when it has given nothing; else one for each choice that has not ended.
std::vector<std::vector<int>> Dispatcher::calls_of(const Job& job, const Leg& leg) const {
  std::vector<std::vector<int>> calls;
  if (!leg.has_tokens) calls.emplace_back();
  for (const Track& track : leg.tracks) {
    if (!leg.has_tokens) {
      calls.back().push_back(track.choice);
    } else if (!job.choices[static_cast<std::size_t>(track.choice)].has_ended) {
      calls.push_back({track.choice});
    }
  }
  return calls;
}

void Dispatcher::resume(const Waiting& waiting) {
  const JobPtr& job = waiting.job;
  if (job->is_over) return;
  try {
    if (waiting.calls.empty()) return run(job);
    for (const std::vector<int>& choices : waiting.calls) {
      if (!job->is_over) start_leg(job, choices);
    }
  } catch (const std::exception& error) {
    end_job(job, FinishReason::kError, base::failure_of(error));
  }
}

/// Whether what follows does not depend on where the answer was cut. Penalties and bad words of
/// the answer alone would take its beginning for a part of the prompt.
bool Dispatcher::can_go_on(const Job& job, const Leg& leg) const {
  const engine::Request& request = job.request;
  if (!field_of_answer(request).empty()) return false;
  if (sampling::is_greedy(request.sampling)) return true;
  // Draws depend on seed, choice and position at servers of ours; a choice that goes on alone is
  // the first one there.
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!servers_.at(i).repeats_seeds) return false;
  }
  return std::all_of(leg.tracks.begin(), leg.tracks.end(), [&](const Track& track) {
    return track.choice == 0 || job.choices[static_cast<std::size_t>(track.choice)].has_ended;
  });
}

void Dispatcher::watch(std::chrono::milliseconds interval) {
  if (servers_.size() < 2) return;
  for (std::size_t i = 0; i < servers_.size(); ++i) ask_health(i, interval);
  loop_.start_timer(Clock::now() + interval, [this, interval] { watch(interval); });
}

void Dispatcher::ask_health(std::size_t server, std::chrono::milliseconds interval) {
  net::HttpCall call = make_call(server, "/health");
  call.deadline = Clock::now() + interval;
  loop_.start(std::move(call), [this, server](const net::HttpLoop::Result& result) {
    const bool is_healthy = !result.error && result.answer.status == 200;
    if (servers_.tell_health(server, is_healthy) >= kLostAfter) give_up(server);
  });
}

/// Ends the calls of a server that is gone.
void Dispatcher::give_up(std::size_t server) {
  const std::string url = net::shown_url(servers_.at(server).url);
  const Trouble trouble{
      {ErrorCode::kUnavailable, base::cat("vllm: ", url, " no longer answers")}, true, true};
  const std::map<std::string, JobPtr> jobs = jobs_;
  for (const auto& [id, job] : jobs) {
    if (job->prompt_call && job->prompt_server == server) {
      loop_.cancel(*std::exchange(job->prompt_call, std::nullopt));
      servers_.call_ended(server);
      prompt_failed(job, trouble.failure);
    }
    std::vector<Leg*> lost;
    for (Leg& leg : job->legs) {
      if (leg.server == server) lost.push_back(&leg);
    }
    for (Leg* leg : lost) {
      if (!job->is_over) recover(job, *leg, trouble);
    }
  }
}

}  // namespace openllm::backend::vllm

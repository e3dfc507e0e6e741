#include "backend/vllm/dispatcher.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "backend/continuation.h"
#include "backend/vllm/wire.h"
#include "base/error.h"
#include "net/server_error.h"
#include "net/sse.h"
#include "sampling/sampler.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

/// Servers say nothing while a request waits; deadlines are the request's own.
constexpr int kLongestSilence = 24 * 3600;

/// What a request names there: an adapter stands in the model's place, a sum beside it.
Named named_by(const Job& job, const Server& server) {
  if (job.adapter.is_sum) return {server.model, job.adapter.text};
  return {job.adapter.empty() ? server.model : job.adapter.names.front(), {}};
}

bool have_all_ended(const Job& job) {
  return std::all_of(job.choices.begin(), job.choices.end(),
                     [](const ChoiceState& choice) { return choice.has_ended; });
}

base::Failure no_such_adapter(const Job& job) {
  return {ErrorCode::kNotFound,
          base::cat("adapter_name: no server that can be asked has the adapter (got ",
                    job.adapter.text, ")"),
          "adapter_name"};
}

}  // namespace

Dispatcher::Dispatcher(net::HttpLoop& loop, std::vector<Server> servers, std::string api_key,
                       Counters& counters)
    : loop_(loop),
      servers_(std::move(servers)),
      api_key_(std::move(api_key)),
      counters_(counters) {}

Dispatcher::~Dispatcher() = default;

net::HttpCall Dispatcher::make_call(std::size_t server, std::string_view path) const {
  net::HttpCall call;
  call.where = "vllm";
  call.url = base::cat(servers_.at(server).url, path);
  call.api_key = api_key_;
  call.timeout_s = kLongestSilence;
  return call;
}

void Dispatcher::begin(engine::Request request, const AdapterChoice& adapter) {
  auto job = std::make_shared<Job>();
  job->request = std::move(request);
  job->adapter = adapter;
  job->choices.resize(static_cast<std::size_t>(job->request.n_choices));
  counters_.n_running += job->request.n_choices;
  jobs_[job->request.id] = job;
  try {
    set_timers(job);
    if (kept_ != KeptServer::kWell) return wait_for_server({job});
    run(job);
  } catch (const std::exception& error) {  // a lack of memory
    end_job(job, FinishReason::kError, base::failure_of(error));
  }
}

void Dispatcher::run(const JobPtr& job) {
  const bool has_prompt = job->request.prompt_ids.size() > 1;
  if (job->request.n_prompt_logprobs >= 0 && has_prompt && !job->has_started) {
    ask_prompt_logprobs(job);
  } else {
    generate(job);
  }
}

/// nullopt: no server has the request's adapter any more.
std::optional<std::size_t> Dispatcher::choose_server(const Job& job) {
  return servers_.choose(job.request.prompt_ids, job.tried, job.adapter);
}

void Dispatcher::set_timers(const JobPtr& job) {
  const engine::Request& request = job->request;
  if (request.deadline) {
    job->deadline_timer = loop_.start_timer(*request.deadline, [this, job] {
      job->deadline_timer.reset();
      end_job(job, FinishReason::kDeadline);
    });
  }
  if (request.max_wait) {
    const auto limit = base::deadline_after(Clock::now(), *request.max_wait);
    job->wait_timer = loop_.start_timer(limit, [this, job] {
      job->wait_timer.reset();
      if (job->is_taken || job->prompt_call) return;
      end_job(job, FinishReason::kError,
              {ErrorCode::kBusy,
               base::cat("vllm: no server took the request within ", job->request.max_wait->count(),
                         " ms"),
               "max_wait", ErrorReason::kNone, *job->request.max_wait});
    });
  }
}

/// In a call of its own, as no stream has them.
void Dispatcher::ask_prompt_logprobs(const JobPtr& job) {
  const std::optional<std::size_t> chosen = choose_server(*job);
  if (!chosen) return end_job(job, FinishReason::kError, no_such_adapter(*job));
  const std::size_t server = *chosen;
  net::HttpCall call = make_call(server, "/v1/completions");
  call.body = prompt_logprobs_body(job->request, named_by(*job, servers_.at(server)));
  servers_.call_began(server);
  job->prompt_server = server;
  job->prompt_call = loop_.start(std::move(call), [this, job](const net::HttpLoop::Result& result) {
    job->prompt_call.reset();
    servers_.call_ended(job->prompt_server);
    try {
      take_prompt_logprobs(*job, result);
    } catch (const std::exception& error) {
      return prompt_failed(job, base::failure_of(error));
    }
    generate(job);
  });
}

void Dispatcher::take_prompt_logprobs(Job& job, const net::HttpLoop::Result& result) {
  if (result.error) std::rethrow_exception(result.error);
  const engine::Request& request = job.request;
  if (result.answer.status != 200)
    throw base::to_error(refusal_of(result.answer, servers_.at(job.prompt_server).url));
  std::vector<engine::TokenEvent> events =
      read_prompt_logprobs(result.answer.body, request.prompt_ids, request.n_prompt_logprobs);
  job.has_started = true;
  request.sink->on_start(Clock::now());
  request.sink->on_prompt_logprobs(1, std::move(events));
}

void Dispatcher::prompt_failed(const JobPtr& job, const base::Failure& failure) {
  if (failure.code == ErrorCode::kUnavailable || failure.code == ErrorCode::kIo)
    servers_.tell_health(job->prompt_server, false);
  const bool is_broken = failure.code == ErrorCode::kUnavailable || failure.code == ErrorCode::kIo;
  const Trouble trouble{failure, true, is_broken, is_broken};
  if (is_kept(trouble, *job)) return wait_for_server({job, {}, true, failure});
  job->tried.insert(job->prompt_server);
  const bool goes_on =
      lacks_adapter(*job, job->prompt_server, failure) || may_work_elsewhere(failure);
  if (goes_on && servers_.has_other(job->tried, job->adapter)) return ask_prompt_logprobs(job);
  end_job(job, FinishReason::kError, failure);
}

/// Whether it was mounted there, and is not any more: the server began anew.
bool Dispatcher::lacks_adapter(Job& job, std::size_t server, const base::Failure& failure) {
  if (failure.code != ErrorCode::kNotFound || job.adapter.empty()) return false;
  servers_.drop_adapter(server, job.adapter);
  return true;
}

void Dispatcher::generate(const JobPtr& job) {
  if (job->request.max_new_tokens == 0) return end_job(job, FinishReason::kLength);
  // Choices that were stopped already keep their places, so that seeds stay those of their index.
  std::vector<int> choices(job->choices.size());
  std::iota(choices.begin(), choices.end(), 0);
  try {
    if (sampling::is_greedy(job->request.sampling)) {  // vLLM makes no more than one such choice
      for (const int choice : choices) start_leg(job, {choice});
    } else {
      start_leg(job, std::move(choices));
    }
  } catch (const std::exception& error) {
    end_job(job, FinishReason::kError, base::failure_of(error));
  }
}

void Dispatcher::start_leg(const JobPtr& job, std::vector<int> choices) {
  const std::optional<std::size_t> chosen = choose_server(*job);
  if (!chosen) return end_job(job, FinishReason::kError, no_such_adapter(*job));
  const std::size_t server = *chosen;
  Leg& leg = job->legs.emplace_back();
  leg.server = server;
  for (const int choice : choices) leg.tracks.push_back({choice});
  if (choices.size() == 1) leg.generated = job->choices[static_cast<std::size_t>(choices[0])].ids;
  net::HttpCall call = make_call(server, "/v1/completions");
  call.body = stream_body(job->request, named_by(*job, servers_.at(server)),
                          {leg.generated, static_cast<int>(choices.size())});
  call.on_body = [this, job, &leg](std::string_view bytes) { return feed(job, leg, bytes); };
  call.on_head = [job](const net::HttpAnswer& head) {
    job->is_taken = job->is_taken || head.status == 200;
    return true;
  };
  servers_.call_began(server);
  leg.call = loop_.start(std::move(call), [this, job, &leg](const net::HttpLoop::Result& result) {
    leg_ended(job, leg, result);
  });
}

/// The connection stays open after the end, for the next call.
bool Dispatcher::feed(const JobPtr& job, Leg& leg, std::string_view bytes) {
  return leg.decoder.feed(bytes, [&](const net::SseEvent& event) {
    if (leg.is_done) return true;
    if (event.name == "error") throw net::make_error(net::kWithinAnswer, event.data);
    if (event.data == "[DONE]") {
      leg.is_done = true;
    } else {
      take(*job, leg, event.data);
      forget_if_ended(job);
    }
    return !job->is_over;
  });
}

void Dispatcher::take(Job& job, Leg& leg, std::string_view json) {
  const engine::Request& request = job.request;
  const Piece piece =
      read_piece(json, static_cast<int>(leg.tracks.size()), std::max(0, request.n_logprobs));
  if (!std::exchange(job.has_started, true)) request.sink->on_start(Clock::now());
  if (piece.n_completion_tokens) leg.n_counted = piece.n_completion_tokens;
  if (piece.n_cached_tokens > 0) job.n_cached_tokens = piece.n_cached_tokens;
  for (const ChoicePiece& choice : piece.choices)
    take_tokens(job, leg, static_cast<std::size_t>(choice.index), choice);
}

void Dispatcher::take_tokens(Job& job, Leg& leg, std::size_t index, const ChoicePiece& piece) {
  Track& track = leg.tracks[index];
  if (track.has_finished && !(piece.ids.empty() && piece.scored.empty()))
    base::fail(ErrorCode::kIo, net::kAnswer, ": tokens after the end of choice ", track.choice);
  leg.n_tokens += static_cast<std::int64_t>(piece.ids.size());
  track.ids.insert(track.ids.end(), piece.ids.begin(), piece.ids.end());
  track.scored.insert(track.scored.end(), piece.scored.begin(), piece.scored.end());
  if (piece.finish_reason && track.ids.size() != track.scored.size()) {
    base::fail(ErrorCode::kIo, net::kAnswer, ": ended with logprobs of other tokens (expected ",
               track.ids.size(), ", got ", track.scored.size(), ")");
  }
  ChoiceState& choice = job.choices[static_cast<std::size_t>(track.choice)];
  while (!track.ids.empty() && !track.scored.empty()) {
    engine::TokenEvent event = std::move(track.scored.front());
    const std::int32_t id = track.ids.front();
    track.scored.pop_front();
    track.ids.pop_front();
    if (event.token != id) {
      base::fail(ErrorCode::kIo, net::kAnswer, ": logprobs of another token (expected ", id,
                 ", got ", event.token, ")");
    }
    if (!std::exchange(leg.has_tokens, true)) job.tried.clear();
    if (choice.has_ended) continue;  // stopped above, and not yet at the server
    ++counters_.n_generated_tokens;
    choice.ids.push_back(id);
    event.is_last = piece.finish_reason && track.ids.empty();
    job.request.sink->on_token(track.choice, std::move(event));
  }
  if (!piece.finish_reason || std::exchange(track.has_finished, true)) return;
  const bool is_last = std::all_of(leg.tracks.begin(), leg.tracks.end(),
                                   [](const Track& other) { return other.has_finished; });
  if (is_last) {
    leg.held_end.emplace(track.choice, *piece.finish_reason);
  } else {
    end_choice(job, track.choice, *piece.finish_reason);
  }
}

void Dispatcher::leg_ended(const JobPtr& job, Leg& leg, const net::HttpLoop::Result& result) {
  const std::optional<Trouble> trouble = trouble_of(*job, leg, result);
  const bool is_servers = trouble && trouble->is_servers;
  if (is_servers) servers_.tell_health(leg.server, false);
  // If the last choice had ended before the connection broke, nothing is missing.
  if (!trouble || (is_servers && leg.held_end)) {
    const auto [choice, reason] = *leg.held_end;
    drop_leg(*job, leg);
    end_choice(*job, choice, reason);
    return forget_if_ended(job);
  }
  const bool may_recover = lacks_adapter(*job, leg.server, trouble->failure) ||
                           (trouble->can_recover && may_work_elsewhere(trouble->failure));
  if (!may_recover) return end_job(job, FinishReason::kError, trouble->failure);
  recover(job, leg, *trouble);
}

void Dispatcher::drop_leg(Job& job, Leg& leg) {
  loop_.cancel(leg.call);  // nothing, if it is over
  servers_.call_ended(leg.server);
  job.legs.remove_if([&](const Leg& other) { return &other == &leg; });
}

void Dispatcher::end_choice(Job& job, int choice, FinishReason reason,
                            const base::Failure& failure) {
  ChoiceState& state = job.choices[static_cast<std::size_t>(choice)];
  if (std::exchange(state.has_ended, true)) return;
  --counters_.n_running;
  if (have_all_ended(job)) {  // known before anyone is told
    counters_.n_cached_tokens += job.n_cached_tokens;
    ++counters_.n_finished;
  }
  job.request.sink->on_end(choice, reason, job.n_cached_tokens, failure);
}

void Dispatcher::end_job(const JobPtr& job, FinishReason reason, const base::Failure& failure) {
  for (int i = 0; i < job->request.n_choices; ++i) end_choice(*job, i, reason, failure);
  forget_if_ended(job);
}

void Dispatcher::forget_if_ended(const JobPtr& job) {
  if (!have_all_ended(*job) || std::exchange(job->is_over, true)) return;
  // Not erased: a call may be feeding its leg just now.
  for (const Leg& leg : job->legs) {
    loop_.cancel(leg.call);
    servers_.call_ended(leg.server);
  }
  if (job->prompt_call) {
    loop_.cancel(*job->prompt_call);
    servers_.call_ended(job->prompt_server);
  }
  if (job->deadline_timer) loop_.cancel_timer(*job->deadline_timer);
  if (job->wait_timer) loop_.cancel_timer(*job->wait_timer);
  jobs_.erase(job->request.id);
}

void Dispatcher::cancel(const std::string& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const JobPtr job = found->second;
  end_job(job, FinishReason::kCancelled);
}

void Dispatcher::stop_choice(const std::string& id, int choice) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || choice < 0 || choice >= found->second->request.n_choices) return;
  const JobPtr job = found->second;
  end_choice(*job, choice, FinishReason::kStop);
  forget_if_ended(job);
}

void Dispatcher::end_all(const base::Failure& failure) {
  const std::map<std::string, JobPtr> jobs = jobs_;
  for (const auto& [id, job] : jobs) end_job(job, FinishReason::kError, failure);
}

}  // namespace openllm::backend::vllm

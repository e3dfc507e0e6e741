#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/vllm/job.h"
#include "backend/vllm/servers.h"
#include "engine/request.h"
#include "net/http_loop.h"

namespace openllm::backend::vllm {

struct ChoicePiece;
class Keeper;

/// What `Backend::stats` tells; written by the loop's thread.
struct Counters {
  std::atomic<std::int64_t> n_requests{0};
  std::atomic<std::int64_t> n_finished{0};
  std::atomic<std::int64_t> n_running{0};  ///< Choices that a server has.
  std::atomic<std::int64_t> n_prompt_tokens{0};
  std::atomic<std::int64_t> n_cached_tokens{0};
  std::atomic<std::int64_t> n_generated_tokens{0};
};

/// Runs requests on servers: every one is a call, and what a call brings goes to the request's
/// sink. A call that fails before its first token is made again elsewhere; one that fails later
/// goes on elsewhere with what it has, where that gives the same answer. All on the loop's thread.
class Dispatcher {
 public:
  Dispatcher(net::HttpLoop& loop, std::vector<Server> servers, std::string api_key,
             Counters& counters);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void begin(engine::Request request, const AdapterChoice& adapter);
  void cancel(const std::string& id);
  void stop_choice(const std::string& id, int choice);
  /// Ends every request with kError and `failure`.
  void end_all(const base::Failure& failure);
  /// Asks all servers so often whether they are well, if there are several.
  void watch(std::chrono::milliseconds interval);
  /// Of the only server, which it starts again when a request finds it dead.
  void set_keeper(Keeper& keeper) { keeper_ = &keeper; }
  void set_adapters(std::size_t server, std::set<std::string> names) {
    servers_.set_adapters(server, std::move(names));
  }

 private:
  using JobPtr = std::shared_ptr<Job>;

  /// A request that waits for a server which is being looked after.
  struct Waiting {
    JobPtr job{};
    std::vector<std::vector<int>> calls{};  ///< To be made then; empty: the request begins.
    bool goes_on = true;                    ///< Elsewhere; else it ends with what is found out.
    base::Failure failure{};                ///< Why it waits.
  };
  enum class KeptServer { kWell, kExamined, kDead, kStarting };

  void run(const JobPtr& job);
  void ask_prompt_logprobs(const JobPtr& job);
  void take_prompt_logprobs(Job& job, const net::HttpLoop::Result& result);
  void prompt_failed(const JobPtr& job, const base::Failure& failure);
  void generate(const JobPtr& job);
  /// A call for these choices of the job, several from their beginning or one with what it has.
  void start_leg(const JobPtr& job, std::vector<int> choices);
  bool feed(const JobPtr& job, Leg& leg, std::string_view bytes);
  void take(Job& job, Leg& leg, std::string_view json);
  void take_tokens(Job& job, Leg& leg, std::size_t index, const ChoicePiece& piece);
  void leg_ended(const JobPtr& job, Leg& leg, const net::HttpLoop::Result& result);
  /// What went wrong with a call that is over; nullopt: nothing.
  std::optional<Trouble> trouble_of(Job& job, Leg& leg, const net::HttpLoop::Result& result);
  void recover(const JobPtr& job, Leg& leg, const Trouble& trouble);
  bool can_go_on(const Job& job, const Leg& leg) const;
  void drop_leg(Job& job, Leg& leg);
  void end_choice(Job& job, int choice, FinishReason reason, const base::Failure& failure = {});
  /// Ends what has not ended, and forgets the job.
  void end_job(const JobPtr& job, FinishReason reason, const base::Failure& failure = {});
  void forget_if_ended(const JobPtr& job);
  void set_timers(const JobPtr& job);
  net::HttpCall make_call(std::size_t server, std::string_view path) const;
  std::optional<std::size_t> choose_server(const Job& job);
  [[nodiscard]] bool lacks_adapter(Job& job, std::size_t server, const base::Failure& failure);
  std::vector<std::vector<int>> calls_of(const Job& job, const Leg& leg) const;
  bool is_kept(const Trouble& trouble, const Job& job) const;
  void wait_for_server(Waiting waiting);
  void server_was_examined(const std::optional<std::string>& end);
  void start_server();
  void server_was_started(const std::string& url, const base::Failure& failure);
  void resume(const Waiting& waiting);
  void ask_health(std::size_t server, std::chrono::milliseconds interval);
  void give_up(std::size_t server);

  net::HttpLoop& loop_;
  Servers servers_;
  const std::string api_key_;
  Counters& counters_;
  std::map<std::string, JobPtr> jobs_;
  Keeper* keeper_ = nullptr;
  KeptServer kept_ = KeptServer::kWell;
  std::string end_{};  ///< Of the dead one.
  std::vector<Waiting> waiting_;
};

}  // namespace openllm::backend::vllm

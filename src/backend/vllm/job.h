#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/vllm/servers.h"
#include "base/failure.h"
#include "engine/request.h"
#include "net/http_loop.h"
#include "net/sse.h"

// What a dispatcher keeps of a request.
namespace openllm::backend::vllm {

struct ChoiceState {
  std::vector<std::int32_t> ids{};  ///< Given to the sink.
  bool has_ended = false;
};

/// A choice of a call: tokens wait until both their id and their logprobs are there.
struct Track {
  int choice = 0;  ///< Of the request.
  std::deque<std::int32_t> ids{};
  std::deque<engine::TokenEvent> scored{};
  bool has_finished = false;
};

/// A call that runs, for one choice or several.
struct Leg {
  std::size_t server = 0;
  std::vector<Track> tracks{};  ///< By the server's index.
  std::vector<std::int32_t> generated{};
  net::HttpLoop::Id call = 0;
  net::SseDecoder decoder{};
  std::int64_t n_tokens = 0;  ///< That came.
  std::optional<std::int64_t> n_counted{};
  /// The end of the last choice waits until the tokens are counted.
  std::optional<std::pair<int, FinishReason>> held_end{};
  bool has_tokens = false;
  bool is_done = false;
};

/// A request, from its submission to the end of its last choice.
struct Job {
  engine::Request request{};
  AdapterChoice adapter{};
  std::vector<ChoiceState> choices{};
  std::list<Leg> legs{};
  std::set<std::size_t> tried{};  ///< Servers that failed since the last token.
  std::optional<net::HttpLoop::Id> prompt_call{};
  std::size_t prompt_server = 0;
  std::optional<net::HttpLoop::Id> deadline_timer{};
  std::optional<net::HttpLoop::Id> wait_timer{};
  int n_cached_tokens = 0;
  bool has_started = false;
  bool is_taken = false;  ///< A server has begun to answer, if only with the head.
  bool is_over = false;
  int n_waits = 0;  ///< For a server to be started again.
};

/// What went wrong with a call.
struct Trouble {
  base::Failure failure{};
  bool can_recover = false;
  bool is_servers = false;  ///< The server itself may be gone.
  bool is_broken = false;   ///< The connection broke, or there was none.
};

/// The error of an answer that is none.
base::Failure refusal_of(const net::HttpAnswer& answer, const std::string& url);

}  // namespace openllm::backend::vllm

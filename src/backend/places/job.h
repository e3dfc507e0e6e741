#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "backend/places/roster.h"
#include "base/failure.h"
#include "base/mutex.h"
#include "engine/request.h"

// What the places' backend keeps of a request.
namespace openllm::backend::places {

class Leg;

/// A choice, on its way from place to place.
struct ChoiceState {
  std::vector<std::int32_t> ids{};  ///< Given to the sink.
  std::shared_ptr<Leg> leg{};       ///< That makes it; null between two.
  int index_in_leg = 0;
  /// By place, why it did not get on there; since its last token.
  std::map<std::size_t, base::Failure> failures{};
  bool draws_as_engine = true;  ///< All of its tokens were drawn so.
  bool is_cut = false;          ///< For lack of memory `ids` is not all of it.
  bool is_stopped = false;      ///< From above.
  bool has_ended = false;
};

/// A request, from its submission to the end of its last choice.
struct Job {
  explicit Job(engine::Request what, std::shared_ptr<const AdapterUses> uses = nullptr)
      : request(std::move(what)), adapters(std::move(uses)) {
    choices.resize(static_cast<std::size_t>(request.n_choices));
  }

  const engine::Request request;                      ///< As it came, with the caller's sink.
  const std::shared_ptr<const AdapterUses> adapters;  ///< Null: none.
  base::Mutex mutex{};
  std::vector<ChoiceState> choices GUARDED_BY(mutex) = {};
  bool has_started GUARDED_BY(mutex) = false;
  bool is_cancelled GUARDED_BY(mutex) = false;
  int next_prompt_position GUARDED_BY(mutex) = 1;  ///< Of logprobs.
  int n_logit_rows GUARDED_BY(mutex) = 0;
  int n_legs GUARDED_BY(mutex) = 0;  ///< So far.
};

}  // namespace openllm::backend::places

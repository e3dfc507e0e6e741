#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backend/places/job.h"
#include "backend/places/roster.h"
#include "base/failure.h"
#include "engine/request.h"

// Parts of a request, as one place is asked for them.
namespace openllm::backend::places {

/// Choices that follow each other and begin anew, or one that goes on.
struct Part {
  std::vector<int> choices{};
  std::vector<std::int32_t> answered{};  ///< What the one has already.
  Needs needs{};                         ///< Of fields of the job's request.
  std::set<std::size_t> tried{};         ///< Places that failed it since its last token.
  bool can_be_made = true;
  /// What of the request asks for more than any place has: why it may not be able to go on.
  std::string_view exact_field{};
};

Part part_of(Job& job, const std::vector<int>& choices);
/// The request for the place, whose answer goes to `leg`.
engine::Request request_of(Job& job, const Part& part, const Roster::Pick& pick,
                           const std::shared_ptr<Leg>& leg);
std::string next_leg_id(Job& job);

/// The one error of a part that no place makes, with what each of them said.
base::Failure no_place_left(Job& job, const Part& part, const Roster& roster);

}  // namespace openllm::backend::places

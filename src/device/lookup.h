#pragma once

#include <algorithm>

#include "device/ops.h"
#include "step/step.h"

namespace openllm::device {

/// The table row that row t of the step looks up; -1: its embedding is given.
inline std::int32_t looked_up_row(const step::Step& step, const Lookup& lookup,
                                  std::int64_t t) noexcept {
  const auto row = static_cast<std::size_t>(t);
  switch (lookup.by) {
    case Lookup::By::kTokenId:
      return lookup.n_ids > 0 && step.token_ids[row] >= lookup.n_ids ? 0 : step.token_ids[row];
    case Lookup::By::kPosition:
      return step.positions[row] + lookup.offset;
    case Lookup::By::kTokenType:
      return (step.token_types.empty() ? 0 : step.token_types[row]) + lookup.offset;
    case Lookup::By::kConstant:
      return lookup.offset;
    case Lookup::By::kRow:
      return static_cast<std::int32_t>(t) + lookup.offset;
  }
  return -1;
}

/// The row of an adapter's table that row t of the step takes; -1: none.
inline std::int64_t looked_up_row(const step::Step& step, const EmbeddingDelta& delta,
                                  std::int64_t t) noexcept {
  const std::int32_t id = step.token_ids[static_cast<std::size_t>(t)];
  if (delta.ids.empty()) return id;
  const auto found = std::lower_bound(delta.ids.begin(), delta.ids.end(), id);
  return found != delta.ids.end() && *found == id ? found - delta.ids.begin() : -1;
}

}  // namespace openllm::device

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "step/step.h"

namespace openllm::device {

/// Rows of a sequence that end with a state which is kept.
struct StateSegment {
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
  std::int32_t from = -1;  ///< Block of the state before; -1: zeros.
  std::int32_t to = -1;    ///< May be `from`.
};

/// How the rows of a step go through the states of a group.
struct StateSegments {
  std::vector<StateSegment> segments{};  ///< Those of a sequence follow each other.
  std::vector<std::size_t> begin{};      ///< First segment of each sequence, and the end.

  std::size_t n_sequences() const noexcept { return begin.size() - 1; }
};

inline void find_segments(const step::Step& step, const step::BlockTable& table, int block_size,
                          StateSegments& out) {
  out.segments.clear();
  out.begin.assign(1, 0);
  for (std::size_t s = 0; s < step.sequences.size(); ++s) {
    const step::SequenceRows& rows = step.sequences[s];
    const auto block = [&](std::int64_t b) {
      return table.ids[static_cast<std::size_t>(table.begin[s] + b)];
    };
    const std::int64_t end = std::int64_t{rows.past_len} + rows.n_rows;
    std::int64_t at = rows.past_len;
    std::int32_t from = at > 0 ? block((at - 1) / block_size) : -1;
    while (at < end) {
      std::int64_t b = at / block_size;
      while ((b + 1) * block_size < end && block(b) < 0) ++b;
      const std::int64_t next = std::min(end, (b + 1) * block_size);
      out.segments.push_back({rows.first_row + at - rows.past_len, next - at, from, block(b)});
      from = block(b);
      at = next;
    }
    out.begin.push_back(out.segments.size());
  }
}

}  // namespace openllm::device

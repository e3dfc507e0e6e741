#pragma once

#include <cstdint>

#include "device/ops.h"
#include "step/step.h"

namespace openllm::device {

// Operations on sequences that come whole, in one step.

/// Row t of `out` is row t + offset of x in the same sequence, or 0 beyond it.
void shift_rows(const step::Step& step, int offset, Tensor x, Tensor out);

/// As Device::disentangled_attention's.
struct DisentangledRows {
  Tensor q{};
  Tensor k{};
  Tensor v{};
  Tensor key_rows{};
  Tensor query_rows{};
};
/// A row of a sequence, and a head.
struct RowHead {
  std::int64_t row = 0;
  std::int64_t head = 0;
};
/// What that head gives for that row.
void attend_disentangled(const DisentangledSpec& spec, const step::SequenceRows& sequence,
                         RowHead at, const DisentangledRows& rows, Tensor out);

}  // namespace openllm::device

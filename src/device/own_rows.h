#pragma once

#include "step/step.h"

namespace openllm::device {

/// Blocks for layers that keep nothing from step to step (KvLayerSpec::kOwnRows): those of the
/// sequences follow each other.
inline step::BlockTable own_rows_table(const step::Step& step, int block_size) {
  step::BlockTable table;
  table.begin.push_back(0);
  std::int32_t next = 0;
  for (const step::SequenceRows& sequence : step.sequences) {
    const std::int32_t n_blocks = (sequence.n_rows + block_size - 1) / block_size;
    for (std::int32_t i = 0; i < n_blocks; ++i) table.ids.push_back(next++);
    table.begin.push_back(next);
  }
  return table;
}

}  // namespace openllm::device

#pragma once

#include "device/ops.h"

namespace openllm::model {

/// ALiBi (arXiv 2108.12409): slopes 2^(-max_bias i / n), i = 1 .. n, for a number of heads that is
/// a power of two; other numbers take every second slope of the next finer row for the rest.
device::PositionBiasSpec alibi(int n_heads, float factor = 1.0F);
/// The order of MPT: of the finer row first every second slope, then the others.
device::PositionBiasSpec alibi_of_mpt(int n_heads, double max_bias);

}  // namespace openllm::model

#pragma once

#include <span>

#include "engine/sequence.h"
#include "engine/step_runner.h"

namespace openllm::engine {

/// Puts the next `n_rows` tokens of each sequence into `out`, with the block tables they use and
/// the rows whose logits are wanted; sets each sequence's `first_output`. The step has its KV
/// groups already.
void build_step(std::span<Sequence* const> batch, step::Step& out,
                std::span<const kv::BlockCopy> copies = {});

}  // namespace openllm::engine

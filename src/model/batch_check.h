#pragma once

#include <vector>

#include "device/device.h"
#include "kv/kv_spec.h"
#include "model/decoder_spec.h"

namespace openllm::model {

struct BatchLimits {
  int max_rows = 0;
  int max_output_rows = 0;
  int block_size = 0;
  const std::vector<int>* blocks_per_group = nullptr;
  const std::vector<kv::KvGroupSpec>* groups = nullptr;
};

/// Devices trust the batch: everything they index with is checked here. Throws kInvalidArgument.
void check_batch(const device::Batch& batch, const DecoderSpec& spec, const BatchLimits& limits);

}  // namespace openllm::model

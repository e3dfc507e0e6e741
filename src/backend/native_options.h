#pragma once

#include "device/device.h"
#include "format/checkpoint.h"
#include "model/model.h"
#include "openllm/options.h"

namespace openllm::backend {

bool any_weight_is_quantised(const format::Checkpoint& checkpoint);

/// Longest sequence, of the decoder and of the encoder each.
int wanted_len(const model::ModelSpec& spec, const LoadOptions& options);

/// How a model is loaded for these options; without the progress.
model::ModelOptions options_of_model(const format::Checkpoint& checkpoint,
                                     const LoadOptions& options, const device::Device& device);

}  // namespace openllm::backend

#pragma once

#include "device/weight.h"
#include "tensor/dtype.h"

namespace openllm::model {

/// The source with its matrices quantised to `type`, one that tensor::find_encoder knows, row by
/// row as they are asked for, from whatever the file has: values, or codes of another scheme. One
/// whose rows are no whole blocks stays as it is. Views must outlive what is returned.
device::WeightSource quantised(device::WeightSource source, tensor::DType type);

}  // namespace openllm::model

#pragma once

#include <string>

#include "device/weight.h"
#include "model/weights/weight_loader.h"

namespace openllm::model {

/// The matrix with each row or column divided by its length, as F32 rows that are made when they
/// are read. `file`: for messages.
device::WeightPart normalised(const std::string& file, device::WeightPart part, MatrixNorm norm);

}  // namespace openllm::model

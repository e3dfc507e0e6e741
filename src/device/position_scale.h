#pragma once

#include <cmath>
#include <cstdint>

#include "device/ops.h"

namespace openllm::device {

/// The factor at a position, in f32 as Hugging Face computes it.
inline float position_factor(const PositionScale& scale, std::int32_t position) {
  const float steps = std::floor((static_cast<float>(position) + scale.offset) / scale.length);
  return 1.0F + scale.beta * std::log1p(steps);
}

}  // namespace openllm::device

#pragma once

#include <memory>
#include <vector>

#include "device/device.h"

namespace openllm::device {

/// The executable specification: naive loops over f32 weights and activations, dot products summed
/// in double. Slow on purpose; every other device is tested against it.
std::unique_ptr<Device> make_reference_device(const DeviceOptions& options);

}  // namespace openllm::device

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/device.h"

namespace openllm::device {

/// The cpu device with the best kernels this CPU has, or those named by `options.isa`.
/// Throws kUnavailable when the CPU lacks that instruction set or nobody knows it.
std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options);

/// Names of the instruction sets whose kernels this CPU can run, best first: "avx512_amx",
/// "avx512_bf16", "avx512", "avx2", "portable".
std::vector<std::string> cpu_isas();

}  // namespace openllm::device

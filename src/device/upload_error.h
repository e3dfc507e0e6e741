#pragma once

#include <string>

#include "base/error.h"
#include "device/device.h"

namespace openllm::device {

/// Throws what every device says of a value that is NaN or infinite; `element` counts in the file's
/// order.
[[noreturn]] inline void fail_not_finite(const std::string& tensor, std::int64_t element,
                                         float value) {
  base::fail(ErrorCode::kCorruptData, "tensor ", tensor, ": element ", element,
             ": not finite (expected a finite number, got ", value, ")");
}

}  // namespace openllm::device

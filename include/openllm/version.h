#pragma once

#include "openllm/error.h"

namespace openllm {

/// The library's version, for example "0.1.0".
OPENLLM_API const char* version() noexcept;

}  // namespace openllm

#pragma once

#include <string_view>

namespace openllm::backend::pt {

/// pt_worker.py, which is part of the library so that it is always there, and of the same version.
std::string_view worker_script() noexcept;

}  // namespace openllm::backend::pt

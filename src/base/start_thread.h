#pragma once

#include <functional>
#include <thread>

namespace openllm::base {

/// Throws kResourceExhausted when the system gives no thread (limits, memory for its stack).
std::thread start_thread(std::function<void()> body);

}  // namespace openllm::base

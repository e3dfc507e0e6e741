#include "base/start_thread.h"

#include <system_error>
#include <utility>

#include "base/error.h"

namespace openllm::base {

std::thread start_thread(std::function<void()> body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    fail(ErrorCode::kResourceExhausted, "thread: cannot be started (", error.code().message(), ")");
  }
}

}  // namespace openllm::base

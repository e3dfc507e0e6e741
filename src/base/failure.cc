#include "base/failure.h"

#include <new>

namespace openllm::base {

Failure failure_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {ErrorCode::kResourceExhausted, "out of memory"};  // short: the string allocates nothing
  }
  const auto* ours = dynamic_cast<const Error*>(&error);
  return {ours != nullptr ? ours->code() : ErrorCode::kInternal, error.what()};
}

}  // namespace openllm::base

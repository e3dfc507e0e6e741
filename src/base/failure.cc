#include "base/failure.h"

#include <new>

namespace openllm::base {

Failure failure_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {ErrorCode::kResourceExhausted, "out of memory"};  // short: the string allocates nothing
  }
  const auto* ours = dynamic_cast<const Error*>(&error);
  if (ours == nullptr) return {ErrorCode::kInternal, error.what()};
  return {ours->code(), ours->what(), std::string(ours->where()), ours->reason(),
          ours->retry_after()};
}

Error to_error(const Failure& failure) {
  return {failure.code, failure.message, failure.where, failure.reason, failure.retry_after};
}

}  // namespace openllm::base

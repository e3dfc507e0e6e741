#pragma once

#include <exception>
#include <string>

#include "openllm/error.h"

namespace openllm::base {

/// An error as a value, for other threads. (An Error shares its text with its copies.)
struct Failure {
  ErrorCode code = ErrorCode::kInternal;
  std::string message{};
  std::string where{};                      ///< As Error::where.
  ErrorReason reason = ErrorReason::kNone;  ///< As Error::reason.
  std::chrono::milliseconds retry_after{};  ///< As Error::retry_after.
};

/// The failure of an exception: our own errors as they are, a lack of memory as kResourceExhausted,
/// all else as kInternal.
Failure failure_of(const std::exception& error);

/// The error that `failure` was made of.
Error to_error(const Failure& failure);

}  // namespace openllm::base

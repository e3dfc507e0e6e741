#pragma once

#include <openllm/error.h>

namespace openllm::cli {

/// The only table from error codes to exit statuses. 0 means done; 130 is what shells give for
/// Ctrl-C.
inline int exit_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInternal:
      return 1;
    case ErrorCode::kInvalidArgument:
      return 2;
    case ErrorCode::kNotFound:
      return 3;
    case ErrorCode::kUnsupported:
      return 4;
    case ErrorCode::kCorruptData:
      return 5;
    case ErrorCode::kResourceExhausted:
      return 6;
    case ErrorCode::kIo:
      return 7;
    case ErrorCode::kUnavailable:
      return 8;
    case ErrorCode::kDeadline:
      return 9;
    case ErrorCode::kBusy:
      return 10;
    case ErrorCode::kCancelled:
      return 130;
  }
  return 1;
}

constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

}  // namespace openllm::cli

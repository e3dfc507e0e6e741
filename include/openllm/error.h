#pragma once

#include <stdexcept>
#include <string>

/// Marks what the shared library exports.
#define OPENLLM_API __attribute__((visibility("default")))

namespace openllm {

/// Says who has to act.
enum class ErrorCode {
  kInvalidArgument,    ///< The caller passed something wrong.
  kNotFound,           ///< A model, file, adapter or route of that name does not exist.
  kUnsupported,        ///< Valid, but this build, device or model cannot do it.
  kCorruptData,        ///< A file's content is damaged or not what it claims to be.
  kResourceExhausted,  ///< Out of memory or another limit that the same request meets again.
  kBusy,               ///< Too many requests wait already; the same request may work later.
  kCancelled,          ///< The caller cancelled.
  kDeadline,           ///< The request's deadline passed.
  kIo,                 ///< The operating system or the network failed.
  kUnavailable,        ///< Shutting down, or a remote part is away; may work later.
  kInternal,           ///< A bug of ours.
};

/// The code's name in snake case, for example "invalid_argument".
OPENLLM_API const char* to_string(ErrorCode code) noexcept;

/// The only exception the library throws. Message grammar: `where: what (expected X, got Y)`.
class OPENLLM_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace openllm

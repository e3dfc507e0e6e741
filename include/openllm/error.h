#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// Marks the symbols that the shared library exports.
#define OPENLLM_API __attribute__((visibility("default")))

namespace openllm {

/// Tells who has to act on an error.
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

/// Reason of an error, where programs go on differently after errors of one code.
enum class ErrorReason {
  kNone,              ///< None beyond the code.
  kContextTooLong,    ///< The prompt does not fit into the model's context.
  kModelNotFound,     ///< Neither the model store nor the server has a model of that name.
  kModelNotLoaded,    ///< The server could not load its model.
  kTemplateMissing,   ///< Messages need a chat template, and the model has none.
  kMissingField,      ///< A field is required.
  kUnknownField,      ///< There is no field of that name.
  kUnsupportedField,  ///< The field is known, but this value of it cannot be honoured.
};

/// The reason's name in snake case, for example "context_too_long"; "none" for kNone.
OPENLLM_API const char* to_string(ErrorReason reason) noexcept;

/// The only exception the library throws. Message grammar: `where: what (expected X, got Y)`.
/// Programs decide by `code`, `reason` and `where`; the message is for people and may change.
class OPENLLM_API Error : public std::runtime_error {
 public:
  /// `where` is not added to the message.
  Error(ErrorCode code, const std::string& message, std::string_view where = {},
        ErrorReason reason = ErrorReason::kNone, std::chrono::milliseconds retry_after = {});

  ErrorCode code() const noexcept { return code_; }
  ErrorReason reason() const noexcept { return reason_; }
  /// The field of the request or of the options that is wrong ("top_p", "messages[0].role"), or the
  /// file. Empty when the error is about neither.
  std::string_view where() const noexcept {
    return where_ == nullptr ? std::string_view() : std::string_view(*where_);
  }
  /// After kBusy: an estimate of the time after which the same request would be taken; 0: none.
  std::chrono::milliseconds retry_after() const noexcept { return retry_after_; }

 private:
  ErrorCode code_;
  ErrorReason reason_;
  std::chrono::milliseconds retry_after_;
  std::shared_ptr<const std::string> where_;  // shared: copying an exception must not throw
};

}  // namespace openllm

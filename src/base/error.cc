#include "base/error.h"

#include <array>
#include <charconv>

namespace openllm {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kCorruptData:
      return "corrupt_data";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kDeadline:
      return "deadline";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

const char* to_string(ErrorReason reason) noexcept {
  switch (reason) {
    case ErrorReason::kNone:
      return "none";
    case ErrorReason::kContextTooLong:
      return "context_too_long";
    case ErrorReason::kModelNotFound:
      return "model_not_found";
    case ErrorReason::kModelNotLoaded:
      return "model_not_loaded";
    case ErrorReason::kTemplateMissing:
      return "template_missing";
    case ErrorReason::kMissingField:
      return "missing_field";
    case ErrorReason::kUnknownField:
      return "unknown_field";
    case ErrorReason::kUnsupportedField:
      return "unsupported_field";
  }
  return "none";
}

Error::Error(ErrorCode code, const std::string& message, std::string_view where, ErrorReason reason,
             std::chrono::milliseconds retry_after)
    : std::runtime_error(message),
      code_(code),
      reason_(reason),
      retry_after_(retry_after),
      where_(where.empty() ? nullptr : std::make_shared<const std::string>(where)) {}

namespace base::detail {
namespace {

template <typename T>
void append_shortest(std::string& out, T value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out.append(buffer.data(), result.ptr);
}

}  // namespace

void append(std::string& out, float value) { append_shortest(out, value); }
void append(std::string& out, double value) { append_shortest(out, value); }

}  // namespace base::detail

}  // namespace openllm

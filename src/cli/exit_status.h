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
constexpr int kExitDifferent = 11;  ///< `replay`: the answer is another one.
constexpr int kExitInterrupted = 130;

/// For the manual.
struct StatusMeaning {
  int status;
  const char* meaning;
};
constexpr StatusMeaning kStatusMeanings[] = {
    {0, "Done; a chat or a server that was told to end."},
    {1, "Internal error."},
    {2, "Wrong use: an option, a value, a prompt."},
    {3, "A model or file is not there."},
    {4, "Not supported by this version or model."},
    {5, "A damaged file, also a chat template that cannot be parsed."},
    {6, "Out of memory or another resource."},
    {7, "Input or output failed, as with a full disk."},
    {8, "Unavailable."},
    {9, "The time of --timeout was over."},
    {10, "Busy: too many requests."},
    {130, "Ctrl-C ended an answer or a download."},
};

}  // namespace openllm::cli

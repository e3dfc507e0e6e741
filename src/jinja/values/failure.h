#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace openllm::jinja {

/// What stops a template; becomes an openllm::Error with the line at the edge of the interpreter.
struct Failure {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Failure{ErrorCode::kInvalidArgument, base::cat(parts...)};
}

template <typename... Parts>
[[noreturn]] void fail_limit(const Parts&... parts) {
  throw Failure{ErrorCode::kResourceExhausted, base::cat(parts...)};
}

/// At most `limit` bytes of a text, whole characters, for messages.
std::string shorten(std::string_view text, std::size_t limit = 200);

}  // namespace openllm::jinja

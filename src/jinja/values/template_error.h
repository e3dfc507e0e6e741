#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace openllm::jinja {

/// The exception of a template that cannot be parsed or rendered. jinja::Template turns it into an
/// openllm::Error that names the line.
struct TemplateError {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw TemplateError{ErrorCode::kInvalidArgument, base::cat(parts...)};
}

template <typename... Parts>
[[noreturn]] void fail_limit(const Parts&... parts) {
  throw TemplateError{ErrorCode::kResourceExhausted, base::cat(parts...)};
}

/// At most `limit` bytes of a text, whole characters, for messages.
std::string shorten(std::string_view text, std::size_t limit = 200);

}  // namespace openllm::jinja

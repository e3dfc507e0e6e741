#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

#include "openllm/error.h"

namespace openllm::server {

/// The only table from error codes to HTTP statuses.
int http_status(ErrorCode code) noexcept;

/// Content of the answer to a request that failed, whatever its dialect.
struct ErrorReport {
  int status = 500;
  std::string message{};
  std::string param{};  ///< Field of the request that is wrong; empty: none in particular.
  std::string code{};   ///< Machine-readable reason; empty: none.
  std::chrono::milliseconds retry_after{};  ///< When to come again; 0: nobody knows.
};

/// `code`: OpenAI's code for the status if empty.
ErrorReport error_report(int status, std::string_view message, std::string_view param = {},
                         std::string_view code = {});
/// For an exception of a handler.
ErrorReport error_report(const std::exception& error);

/// {"error":{"message","type","param","code"}}; an empty `param` or `code` becomes null.
std::string error_body(const ErrorReport& error);
/// The same with OpenAI's names of fields.
std::string openai_error_body(const ErrorReport& error);

}  // namespace openllm::server

#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "openllm/error.h"
#include "server/http/message.h"

namespace openllm::server {

/// An error with what OpenAI's error bodies tell besides the message.
class ApiError : public Error {
 public:
  ApiError(ErrorCode code, const std::string& message, std::string param, std::string api_code = {})
      : Error(code, message), param_(std::move(param)), api_code_(std::move(api_code)) {}
  const std::string& param() const noexcept { return param_; }
  const std::string& api_code() const noexcept { return api_code_; }

 private:
  std::string param_;
  std::string api_code_;
};

/// The only table from error codes to HTTP statuses.
int http_status(ErrorCode code) noexcept;

/// {"error":{"message","type","param","code"}}; empty `param` and `code` become null.
std::string error_body(int status, std::string_view message, std::string_view param = {},
                       std::string_view code = {});

/// An answer with such a body.
HttpResponse error_response(int status, std::string_view message, std::string_view param = {},
                            std::string_view code = {});

/// For whatever a handler threw.
HttpResponse error_response(const std::exception& error);

}  // namespace openllm::server

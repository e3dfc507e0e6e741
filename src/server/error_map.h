#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "openllm/error.h"
#include "server/http/message.h"

namespace openllm::server {

/// The only table from error codes to HTTP statuses.
int http_status(ErrorCode code) noexcept;

/// {"error":{"message","type","param","code"}}; empty `param` and `code` become null.
std::string error_body(int status, std::string_view message, std::string_view param = {},
                       std::string_view code = {});

/// An answer with such a body.
HttpResponse error_response(int status, std::string_view message, std::string_view param = {},
                            std::string_view code = {});

/// The answer to an exception of a handler.
HttpResponse error_response(const std::exception& error);

}  // namespace openllm::server

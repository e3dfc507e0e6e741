#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "server/error_map.h"
#include "server/http/exchange.h"

namespace openllm::server {

/// Style of a family of routes: the form of errors and the end of streams. The form of answers is
/// the business of their endpoints.
struct Dialect {
  /// The body of an error's answer, and the data of its event in a stream that has begun.
  std::string (*error_body)(const ErrorReport& error) = nullptr;
  /// Name of the event of an error; empty: it has none.
  std::string_view error_event{};
  /// Event after the last one of a whole stream. Without data there is none.
  std::string_view end_event{};
  std::string_view end_data{};
};

/// Errors are {"error":{...}}, streams end with [DONE].
extern const Dialect kOpenAiDialect;
/// The same, but errors name fields as GenerateOptions does.
extern const Dialect kNativeDialect;

/// The answer to a request that failed.
HttpResponse error_response(const Dialect& dialect, const ErrorReport& error);

/// Sends the error as the answer, or as the last event of a stream that has begun.
void send_error(Exchange& exchange, const Dialect& dialect, const ErrorReport& error);

/// Ends a stream whose events have all been sent.
void send_stream_end(Exchange& exchange, const Dialect& dialect);

}  // namespace openllm::server

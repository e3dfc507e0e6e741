#include "server/dialect.h"

#include <utility>

namespace openllm::server {

constinit const Dialect kOpenAiDialect{&openai_error_body, {}, {}, "[DONE]"};
constinit const Dialect kNativeDialect{&error_body, {}, {}, "[DONE]"};

HttpResponse error_response(const Dialect& dialect, const ErrorReport& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = dialect.error_body(error);
  if (error.status == 429 || error.status == 503) response.headers.add("Retry-After", "1");
  if (error.status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

void send_error(Exchange& exchange, const Dialect& dialect, const ErrorReport& error) {
  if (exchange.has_begun()) {
    exchange.send_event(dialect.error_body(error), dialect.error_event);
  } else {
    exchange.respond(error_response(dialect, error));
  }
}

void send_stream_end(Exchange& exchange, const Dialect& dialect) {
  if (!dialect.end_data.empty()) exchange.send_event(dialect.end_data, dialect.end_event);
}

}  // namespace openllm::server

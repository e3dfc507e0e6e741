#include "server/dialect.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

/// Retry-After counts whole seconds. Clients of OpenAI look at the finer field first, and at
/// neither when it is more than a minute.
void add_retry_after(Headers& headers, std::chrono::milliseconds wait) {
  constexpr std::chrono::seconds kLongest{60};
  const auto seconds =
      std::clamp(std::chrono::ceil<std::chrono::seconds>(wait), std::chrono::seconds(1), kLongest);
  headers.add("Retry-After", base::cat(seconds.count()));
  if (wait.count() <= 0) return;
  headers.add("Retry-After-Ms",
              base::cat(std::min<std::chrono::milliseconds>(wait, kLongest).count()));
}

}  // namespace

constinit const Dialect kOpenAiDialect{&openai_error_body, {}, {}, "[DONE]"};
constinit const Dialect kNativeDialect{&error_body, {}, {}, "[DONE]"};

HttpResponse error_response(const Dialect& dialect, const ErrorReport& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = dialect.error_body(error);
  if (error.status == 429 || error.status == 503)
    add_retry_after(response.headers, error.retry_after);
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

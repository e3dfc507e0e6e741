#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/http/message.h"

namespace openllm::server {

/// Which web pages of other origins may read the answers (the CORS protocol of the Fetch standard).
/// Thread safety: every method from any thread.
class Cors {
 public:
  /// Exact origins such as "https://example.com", or "*" for every page. Throws kInvalidArgument
  /// for what no browser sends as its origin.
  explicit Cors(const std::vector<std::string>& allowed_origins);

  /// Adds what every answer to a request with the fields `request` carries. Nothing for origins
  /// that are not allowed: the browser then keeps the answer from the page.
  void add_headers(const Headers& request, Headers& answer) const;

  /// The answer when the request is a browser asking whether a page may send another one, and the
  /// page may. Without the fields of `add_headers`.
  std::optional<HttpResponse> answer_preflight(const HttpRequest& request) const;

 private:
  bool allows(std::string_view origin) const noexcept;

  bool any_ = false;
  std::vector<std::string> origins_;  // as browsers write them
};

}  // namespace openllm::server

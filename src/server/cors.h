#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace openllm::server {

/// Web pages of other origins that may read the answers (the CORS protocol of the Fetch standard).
/// Thread safety: every method from any thread.
class Cors {
 public:
  /// Exact origins such as "https://example.com", or "*" for every page. Throws kInvalidArgument
  /// for a text that no browser sends as an origin.
  explicit Cors(const std::vector<std::string>& allowed_origins);

  /// Adds the CORS fields of an answer to a request with the fields `request`. None for origins
  /// that are not allowed: the browser then keeps the answer from the page.
  void add_headers(const Headers& request, Headers& answer) const;

  /// Answer to a preflight, with which a browser asks whether a page may send another request, if
  /// the page may. Without the fields of `add_headers`.
  std::optional<HttpResponse> answer_preflight(const HttpRequest& request) const;

  /// Whether pages of this origin may use the server.
  bool allows(std::string_view origin) const noexcept;

 private:
  bool any_ = false;
  std::vector<std::string> origins_;  // as browsers write them
};

}  // namespace openllm::server

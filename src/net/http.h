#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace openllm::net {

struct HttpCall {
  std::string where = "http";  ///< Begins the messages of errors.
  std::string url{};
  std::string body{};  ///< Not empty: POST of JSON.
  std::string api_key{};
  int timeout_s = 300;  ///< Longest silence.
  std::stop_token stop_token{};
  /// The call ends then, whatever it has got.
  std::optional<std::chrono::steady_clock::time_point> deadline{};
  /// For a 200 answer that may be a stream: gets the body as it arrives; false ends the call.
  /// Empty: the body is collected. JSON and HTML are documents, not streams, and always collected.
  std::function<bool(std::string_view)> on_body{};
};

struct HttpAnswer {
  int status = 0;
  std::string body{};
  /// When the server wants to be asked again, if it says so.
  std::optional<std::chrono::milliseconds> retry_after{};
  std::string location{};  ///< Where a redirection points.
  bool was_ended = false;  ///< By `on_body`, the stop token or the deadline.
  bool is_late = false;    ///< By the deadline.
};

/// One request. Throws Error: kUnavailable when the server cannot be reached, kIo when the transfer
/// breaks, kDeadline after the longest silence, kInvalidArgument for a URL that is none; and what
/// `on_body` throws.
HttpAnswer http_call(const HttpCall& call);

}  // namespace openllm::net

#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace openllm::net {

/// Whom a call over https trusts.
struct Tls {
  bool verify = true;     ///< False: whoever answers.
  std::string ca_file{};  ///< Certificates of authorities, PEM. Empty: those of the system.
};

/// Error::where of a server whose certificate is not trusted: asking again does not help.
constexpr std::string_view kNotTrusted = "certificate";

struct HttpAnswer;

struct HttpCall {
  std::string where = "http";  ///< Begins the messages of errors.
  std::string url{};
  std::string body{};  ///< Not empty: POST of JSON.
  std::string api_key{};
  std::string user_agent = "openllm";
  std::vector<std::string> headers{};  ///< Further fields of the head, "Name: value".
  Tls tls{};
  int timeout_s = 300;  ///< Longest silence.
  std::stop_token stop_token{};
  /// The call ends then, whatever it has got.
  std::optional<std::chrono::steady_clock::time_point> deadline{};
  /// For a 200 answer that may be a stream: gets the body as it arrives; false ends the call.
  /// Empty: the body is collected. JSON and HTML are documents, not streams, and always collected.
  std::function<bool(std::string_view)> on_body{};
  /// The answer is a file: `on_body` gets it whatever its type, and of 206 too.
  bool is_file = false;
  /// The fields of the head of the answer, before its body. False ends the call.
  std::function<bool(const HttpAnswer&)> on_head{};
};

struct HttpAnswer {
  int status = 0;
  std::string body{};
  /// When the server wants to be asked again, if it says so.
  std::optional<std::chrono::milliseconds> retry_after{};
  std::optional<bool> should_retry{};  ///< Whether asking again helps, if the server says so.
  std::string location{};              ///< Where a redirection points.
  /// Fields of the head, names in lower case.
  std::vector<std::pair<std::string, std::string>> fields{};
  bool was_ended = false;  ///< By `on_body`, the stop token or the deadline.
  bool is_late = false;    ///< By the deadline.

  /// Of several fields the last; empty if there is none. `name`: in lower case.
  std::string_view field(std::string_view name) const noexcept;
};

/// One request. Throws Error: kUnavailable when the server cannot be reached, kIo when the transfer
/// breaks or the server's certificate is not trusted, kDeadline after the longest silence,
/// kInvalidArgument for a URL that is none or a CA file that cannot be used; and what `on_body`
/// throws.
HttpAnswer http_call(const HttpCall& call);

/// Version of the library that makes the calls, "7.88.1".
std::string http_library_version();

}  // namespace openllm::net

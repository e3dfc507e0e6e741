#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "client/retry.h"
#include "net/http.h"

namespace openllm::client {

/// `value`, or of an empty one that of the environment variable.
std::string or_from_environment(std::string value, const char* variable);

/// A server, and the patience that its answers are waited for with.
struct CallerOptions {
  std::string address{};  ///< With or without "http://" and with or without `base_path`.
  /// What routes begin with, "/v1": dropped from the end of the address.
  std::string base_path{};
  std::string api_key{};
  int timeout_s = 300;  ///< Longest silence.
  RetryPolicy retries{};
  net::Tls tls{};
  std::string user_agent = "openllm";
  std::vector<std::string> headers{};  ///< Of every call, "Name: value".
};

/// Makes calls to a server, again and again where that may help. Thread safety: const methods from
/// any thread.
class Caller {
 public:
  /// Throws kInvalidArgument for options that cannot be used.
  explicit Caller(CallerOptions options);

  /// "http://host:port", with the path that the server may have.
  const std::string& address() const noexcept { return options_.address; }
  const CallerOptions& options() const noexcept { return options_; }

  /// A call of a route, which may get a body and the rest.
  net::HttpCall make_call(std::string_view path) const;
  /// Makes the call, with retries. Throws the error that the server answers.
  net::HttpAnswer call(const net::HttpCall& request) const;
  /// True when /readyz answers 200. Not tried again.
  bool is_ready(const std::stop_token& stop = {}) const;

 private:
  CallerOptions options_;
};

}  // namespace openllm::client

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"
#include "openllm/error.h"

namespace openllm::hub {

/// Which hub is asked, by whom, and with how much patience.
struct Asking {
  std::string endpoint{};  ///< "https://huggingface.co", without a slash at its end.
  std::string token{};     ///< Sent to the host of `endpoint` alone.
  std::string token_variable = "HF_TOKEN";  ///< Where a token is looked for, for messages.
  std::string token_cookie{};  ///< The token goes as a cookie of this name too; empty: it does not.
  net::Tls tls{};
  int timeout_s = 30;   ///< Longest silence.
  int max_retries = 5;  ///< Of a request that may succeed later, each without progress.
  std::stop_token stop_token{};
  /// A request has ended then, whatever it has got. For one request, not for files.
  std::optional<std::chrono::steady_clock::time_point> deadline{};
  /// Waits, on several threads at once; false when a stop was requested meanwhile. Empty: really.
  std::function<bool(std::chrono::milliseconds)> pause{};
};

/// One GET.
struct Get {
  std::string url{};
  std::vector<std::string> headers{};
  std::function<bool(std::string_view)> on_body{};  ///< Empty: the body is collected.
  std::function<bool(const net::HttpAnswer&)> on_head{};
  std::function<void(const net::HttpAnswer&)> on_redirection{};
};

/// Follows redirections and gives the answer, whatever its status. The token goes to the hub's own
/// host only. Throws as net::http_call; kCorruptData for more than ten redirections or one to
/// nowhere; kCancelled once a stop is requested.
net::HttpAnswer get_once(const Asking& asking, const Get& get);

/// The same again, after a pause, while the hub cannot be reached or answers 408, 429 or 5xx.
net::HttpAnswer get(const Asking& asking, const Get& get);

/// The hub has no such repository, or none that this token may see. A type of its own, for who can
/// say which one may have been meant.
class UnknownRepo : public Error {
 public:
  using Error::Error;
};

/// Throws what an answer of 400 or more means, with what to do: kNotFound, kBusy,
/// kUnavailable, kIo; of kNotFound, UnknownRepo where it is about the repository. `what`: what was
/// asked for ("model a/b").
[[noreturn]] void fail_of_status(const Asking& asking, const net::HttpAnswer& answer,
                                 const std::string& what);

/// Whether asking again may help.
bool may_pass(int status) noexcept;
bool may_pass(const Error& error) noexcept;

/// Before attempt `n` + 2: what the hub asks for, at most a minute, else 0.5 s * 2^n, at most 8 s.
/// Throws kCancelled once a stop is requested.
void pause_before_retry(const Asking& asking, int n,
                        std::optional<std::chrono::milliseconds> asked = {});

/// Percent-encoded as one part of a path; with `keeps_slashes` as several.
std::string encoded(std::string_view text, bool keeps_slashes = false);

}  // namespace openllm::hub

#include "client/caller.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "client/server_error.h"
#include "net/url.h"

namespace openllm::client {
namespace {

/// Refuses control characters: a line end in the key would start another header field.
void check_key(const std::string& key) {
  if (std::any_of(key.begin(), key.end(), [](char c) { return c < 0x20 || c == 0x7F; })) {
    base::fail(ErrorCode::kInvalidArgument,
               "client: the key has characters that cannot be sent (expected printable ASCII)");
  }
}

/// "http://host:port", with the path that the server may have, and without `base_path`.
std::string normalised_address(std::string address, std::string_view base_path) {
  if (address.find("://") == std::string::npos) address = "http://" + address;
  const std::optional<net::Url> url = net::parse_url(address);
  if (!url || (url->scheme != "http" && url->scheme != "https")) {
    base::fail_with(ErrorCode::kInvalidArgument, {"address"},
                    "client: bad address (expected http://host:port or https://host, got ",
                    net::shown_url(address), ")");
  }
  std::string_view path = url->path;
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with(base_path)) path.remove_suffix(base_path.size());
  return base::cat(url->origin(), path);
}

void check_numbers(const CallerOptions& options) {
  const auto require = [](bool holds, std::string_view name, std::string_view expected, auto got) {
    if (!holds) {
      base::fail_at(ErrorCode::kInvalidArgument, name, "out of range (expected ", expected,
                    ", got ", got, ")");
    }
  };
  require(options.timeout_s >= 1, "timeout_s", "at least 1 second of silence", options.timeout_s);
  require(options.retries.max_retries >= 0, "max_retries", "at least 0",
          options.retries.max_retries);
  constexpr std::chrono::milliseconds kLongestPause = std::chrono::hours(1);
  const std::chrono::milliseconds pause = options.retries.first_pause;
  require(pause.count() >= 0 && pause <= kLongestPause, "retry_pause", "0 to 3600000 ms",
          pause.count());
}

/// A file of authorities that nobody would ask is a mistake about safety.
void check_tls(const net::Tls& tls) {
  if (!tls.verify && !tls.ca_file.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "ca_file",
                  "has no use where certificates are not verified (expected verify = true, or no "
                  "ca_file)");
  }
}

/// The error of a refused call, with the address where that may be what is wrong.
Error refusal(const net::HttpCall& call, const net::HttpAnswer& answer) {
  const Error error = make_error(answer.status, answer.body);
  const std::string url = net::shown_url(call.url);
  if (answer.status >= 300 && answer.status < 400 && !answer.location.empty()) {
    return {error.code(),
            base::cat("server: HTTP status ", answer.status, ": ", url, " is now ",
                      printable(net::shown_url(answer.location)), " (give that address)")};
  }
  const bool may_be_wrong = answer.status == 404 || answer.status == 405;
  return {error.code(), may_be_wrong ? base::cat(error.what(), " (from ", url, ")") : error.what(),
          error.where(), error.reason(), answer.retry_after.value_or(std::chrono::milliseconds(0))};
}

/// For pauses: good enough to set clients apart.
double any_fraction(int attempt) {
  const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
  return base::random_unit(static_cast<std::uint64_t>(ticks), static_cast<std::uint64_t>(attempt),
                           0);
}

}  // namespace

std::string or_from_environment(std::string value, const char* variable) {
  if (!value.empty()) return value;
  const char* found = std::getenv(variable);
  return found == nullptr ? std::string() : found;
}

Caller::Caller(CallerOptions options) : options_(std::move(options)) {
  options_.address = normalised_address(std::move(options_.address), options_.base_path);
  check_key(options_.api_key);
  check_numbers(options_);
  check_tls(options_.tls);
}

net::HttpCall Caller::make_call(std::string_view path) const {
  net::HttpCall request;
  request.where = "client";
  request.url = base::cat(options_.address, path);
  request.api_key = options_.api_key;
  request.user_agent = options_.user_agent;
  request.headers = options_.headers;
  request.tls = options_.tls;
  request.timeout_s = options_.timeout_s;
  return request;
}

net::HttpAnswer Caller::call(const net::HttpCall& request) const {
  for (int attempt = 0;; ++attempt) {
    net::HttpAnswer answer = net::http_call(request);
    if (answer.status == 200 || answer.was_ended) return answer;
    if (!can_retry(answer) || attempt >= options_.retries.max_retries)
      throw refusal(request, answer);
    const std::chrono::milliseconds time =
        retry_pause(answer, attempt, options_.retries, any_fraction(attempt));
    if (!pause(time, request.stop_token, request.deadline)) {
      answer.was_ended = true;
      answer.is_late = !request.stop_token.stop_requested();
      return answer;
    }
  }
}

bool Caller::is_ready(const std::stop_token& stop) const {
  try {
    net::HttpCall request = make_call("/readyz");
    request.stop_token = stop;
    return net::http_call(request).status == 200;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace openllm::client

#include "hub/request.h"

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <mutex>

#include "base/error.h"
#include "base/json.h"
#include "net/url.h"

namespace openllm::hub {
namespace {

using std::chrono::milliseconds;

constexpr int kMostRedirections = 10;
constexpr std::size_t kLongestShown = 300;
constexpr const char* kAdvice = "; is the endpoint (HF_ENDPOINT) one of a hub?";

bool is_redirection(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string origin_of(std::string_view text) {
  const std::optional<net::Url> url = net::parse_url(text);
  return url ? base::cat(url->scheme, "://", url->host, ":", url->port) : std::string();
}

/// The address that a redirection from `from` points to; empty when it points nowhere.
std::string redirected(const std::string& from, const std::string& location) {
  if (location.starts_with("http://") || location.starts_with("https://")) return location;
  const std::optional<net::Url> url = net::parse_url(from);
  if (!url || location.empty()) return {};
  if (location.starts_with("//")) return base::cat(url->scheme, ":", location);
  if (location.starts_with('/')) return url->origin() + location;
  return {};
}

bool sleep(milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

[[noreturn]] void fail_cancelled() {
  base::fail(ErrorCode::kCancelled, "hub: the download was stopped");
}

/// A server may say back what it was sent.
std::string without_token(const Asking& asking, std::string text) {
  if (asking.token.empty()) return text;  // in every text
  for (std::size_t at = text.find(asking.token); at != std::string::npos;
       at = text.find(asking.token, at))
    text.replace(at, asking.token.size(), "***");
  return text;
}

/// What the hub says of an error, in its header field or body; empty if it says nothing.
std::string told(const Asking& asking, const net::HttpAnswer& answer) {
  std::string text(answer.field("x-error-message"));
  if (text.empty()) {
    try {
      const base::Json json = base::Json::parse(answer.body, "error");
      const base::Json* error = json.is_object() ? json.find("error") : nullptr;
      if (error == nullptr && json.is_object()) error = json.find("Message");  // ModelScope's
      const std::string* message = error == nullptr ? nullptr : error->if_string();
      if (message != nullptr) text = *message;
    } catch (const Error&) {
      return {};
    }
  }
  const auto is_control = [](unsigned char c) { return std::iscntrl(c) != 0; };
  text.erase(std::remove_if(text.begin(), text.end(), is_control), text.end());
  return without_token(asking, std::move(text)).substr(0, kLongestShown);
}

/// As net::http_call, with what to do about a server that is not trusted.
net::HttpAnswer call_trusting(const net::HttpCall& call) {
  try {
    return net::http_call(call);
  } catch (const Error& error) {
    if (error.where() != net::kNotTrusted) throw;
    const std::string advice =
        call.tls.ca_file.empty()
            ? "; SSL_CERT_FILE can name a file with the certificates of further authorities"
            : base::cat("; the authorities are those of ", call.tls.ca_file);
    throw Error(error.code(), error.what() + advice, error.where());
  }
}

net::HttpAnswer follow(const Asking& asking, const Get& get) {
  const std::string home = origin_of(asking.endpoint);
  net::HttpCall call;
  call.where = "hub";
  call.url = get.url;
  call.timeout_s = asking.timeout_s;
  call.stop_token = asking.stop_token;
  call.tls = asking.tls;
  call.deadline = asking.deadline;
  call.on_body = get.on_body;
  call.is_file = static_cast<bool>(get.on_body);
  call.on_head = [&](const net::HttpAnswer& head) {
    if (!is_redirection(head.status)) return !get.on_head || get.on_head(head);
    if (get.on_redirection) get.on_redirection(head);
    return true;
  };
  for (int n = 0; n <= kMostRedirections; ++n) {
    const bool is_home = origin_of(call.url) == home && !asking.token.empty();
    call.api_key = is_home ? asking.token : std::string();
    call.headers = get.headers;
    if (is_home && !asking.token_cookie.empty())
      call.headers.push_back(base::cat("Cookie: ", asking.token_cookie, "=", asking.token));
    net::HttpAnswer answer = call_trusting(call);
    if (asking.stop_token.stop_requested()) fail_cancelled();
    if (!is_redirection(answer.status)) return answer;
    std::string next = redirected(call.url, answer.location);
    const bool is_downgrade = call.url.starts_with("https://") && next.starts_with("http://");
    if (next.empty() || is_downgrade) {
      base::fail(ErrorCode::kCorruptData, "hub: ", net::shown_url(call.url),
                 " points to no usable address (got ",
                 next.empty() ? answer.location.substr(0, kLongestShown) : net::shown_url(next),
                 ")", kAdvice);
    }
    call.url = std::move(next);
  }
  base::fail(ErrorCode::kCorruptData, "hub: ", net::shown_url(get.url), " is redirected more than ",
             kMostRedirections, " times", kAdvice);
}

}  // namespace

net::HttpAnswer get_once(const Asking& asking, const Get& get) {
  try {
    net::HttpAnswer answer = follow(asking, get);
    answer.body = without_token(asking, std::move(answer.body));
    return answer;
  } catch (const Error& error) {
    // The address of a redirection may have it.
    const std::string message = without_token(asking, error.what());
    if (message == error.what()) throw;
    throw Error(error.code(), message, error.where(), error.reason(), error.retry_after());
  }
}

net::HttpAnswer get(const Asking& asking, const Get& get) {
  for (int n = 0;; ++n) {
    try {
      net::HttpAnswer answer = get_once(asking, get);
      if (!may_pass(answer.status) || n >= asking.max_retries) return answer;
      pause_before_retry(asking, n, answer.retry_after);
    } catch (const Error& error) {
      // Who has no network should know soon.
      const int most = error.code() == ErrorCode::kUnavailable ? 1 : asking.max_retries;
      if (!may_pass(error) || n >= std::min(most, asking.max_retries)) throw;
      pause_before_retry(asking, n);
    }
  }
}

void fail_of_status(const Asking& asking, const net::HttpAnswer& answer, const std::string& what) {
  const std::string code(answer.field("x-error-code"));
  const std::string said = told(asking, answer);
  std::string where = net::shown_url(asking.endpoint);
  if (where.ends_with('/')) where.pop_back();
  const std::string note = said.empty() ? "" : base::cat(" (", where, " says: ", said, ")");
  const base::Site site{"model", ErrorReason::kModelNotFound};
  if (code == "GatedRepo") {
    base::fail_with(ErrorCode::kNotFound, {"model"}, "model: ", what,
                    " is gated: accept its licence on its page at ", where, ", then set ",
                    asking.token_variable, " to a token of that account", note);
  }
  if (code == "RevisionNotFound")
    base::fail_with(ErrorCode::kNotFound, site, "model: ", what, " does not have that revision; ",
                    where, " lists its branches and tags", note);
  if (code == "EntryNotFound")
    base::fail_with(ErrorCode::kNotFound, site, "model: the repository does not have ", what, note);
  if (answer.status == 404 || answer.status == 401 || answer.status == 403 ||
      code == "RepoNotFound") {
    const std::string advice =
        asking.token.empty()
            ? base::cat("; a private or gated one needs ", asking.token_variable)
            : base::cat("; or the token that ", asking.token_variable, " gives may not see it");
    throw UnknownRepo(ErrorCode::kNotFound,
                      base::cat("model: ", where, " has no ", what, advice, note), site.where,
                      site.reason);
  }
  if (answer.status == 429) {
    base::fail(ErrorCode::kBusy, "hub: ", where,
               " answers too many requests; try again later, or set ", asking.token_variable, note);
  }
  const bool may_come_back = answer.status >= 500;
  base::fail_with(may_come_back ? ErrorCode::kUnavailable : ErrorCode::kIo, {"hub"}, "hub: ", where,
                  " answers ", answer.status, " for ", what, note);
}

bool may_pass(int status) noexcept {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

bool may_pass(const Error& error) noexcept {
  if (error.where() == net::kNotTrusted) return false;
  return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kIo ||
         error.code() == ErrorCode::kDeadline;
}

void pause_before_retry(const Asking& asking, int n, std::optional<milliseconds> asked) {
  constexpr milliseconds kFirst{500};
  constexpr milliseconds kLongest{8000};
  constexpr milliseconds kLongestAsked{60'000};
  const milliseconds own = std::min(kFirst * (1 << std::min(n, 10)), kLongest);
  const milliseconds time = asked ? std::min(*asked, kLongestAsked) : own;
  const bool goes_on = asking.pause ? asking.pause(time) : sleep(time, asking.stop_token);
  if (!goes_on || asking.stop_token.stop_requested()) fail_cancelled();
}

std::string encoded(std::string_view text, bool keeps_slashes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (byte < 0x80 && std::isalnum(byte) != 0) || c == '-' || c == '_' ||
                          c == '.' || c == '~' || (c == '/' && keeps_slashes);
    if (is_plain) {
      result += c;
    } else {
      result += '%';
      result += kDigits[byte >> 4U];
      result += kDigits[byte & 15U];
    }
  }
  return result;
}

}  // namespace openllm::hub

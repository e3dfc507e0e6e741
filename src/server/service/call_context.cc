#include "server/service/call_context.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::server {
namespace {

std::optional<std::chrono::milliseconds> max_wait_of(const ServerOptions& options) {
  if (options.max_wait_s <= 0.0) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(options.max_wait_s * 1000.0));
}

/// As forms write it: "+" is a space. Broken escapes stay as they are.
std::string decode_parameter(std::string text) {
  std::replace(text.begin(), text.end(), '+', ' ');
  return percent_decode(text).value_or(text);
}

bool is_token(std::string_view name) {
  constexpr std::string_view kSpecial = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSpecial.find(c) != std::string_view::npos;
  });
}

/// The server writes these by itself, and the connection depends on them.
bool is_of_the_server(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Date", "X-Request-Id"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view own) { return equal_ignoring_case(own, name); });
}

}  // namespace

CallContext::CallContext(const Call& call)
    : exchange_(call.exchange),
      tenant_(call.app.tenant_of(call.exchange.request())),
      max_wait_(max_wait_of(call.app.options())) {}

std::string CallContext::path() const {
  const std::string& path = exchange_.request().path;
  return percent_decode(path).value_or(path);
}

std::string CallContext::query(std::string_view name) const {
  std::string_view rest = exchange_.request().query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (decode_parameter(std::string(pair.substr(0, equals))) != name) continue;
    return decode_parameter(std::string(pair.substr(std::min(pair.size(), equals + 1))));
  }
  return {};
}

GenerateOptions CallContext::options(const GenerateOptions& options) const {
  GenerateOptions result = options;
  result.tenant = tenant_;
  result.stop_token = exchange_.stop_token();
  if (!result.max_wait) result.max_wait = max_wait_;
  if (result.request_id.empty()) result.request_id = exchange_.request_id();
  return result;
}

void CallContext::set_status(int status) {
  require_open();
  if (status < 200 || status > 599) {
    base::fail_at(ErrorCode::kInvalidArgument, "status", "out of range (expected 200 to 599, got ",
                  status, ")");
  }
  status_ = status;
}

void CallContext::set_header(std::string_view name, std::string_view value) {
  require_open();
  if (!is_token(name) || is_of_the_server(name)) {
    base::fail(ErrorCode::kInvalidArgument,
               "header: ", is_token(name) ? "is set by the server itself" : "no name of a field",
               " (got ", name, ")");
  }
  const bool is_line = std::none_of(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
  });
  if (!is_line) {
    base::fail(ErrorCode::kInvalidArgument, "header: ", name,
               ": has control characters (expected one line of text)");
  }
  headers_.add(name, value);
}

void CallContext::require_open() const {
  if (is_sealed_) base::fail(ErrorCode::kInvalidArgument, "context: the answer has begun already");
}

}  // namespace openllm::server

#include "server/cors.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

template <typename Allowed>
bool consists_of(std::string_view text, Allowed allowed) {
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_letter(text[0]) && consists_of(text, [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

/// Names outside of ASCII reach servers as "xn--...".
bool is_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return consists_of(text.substr(1, text.size() - 2), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    });
  }
  return consists_of(
      text, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_port(std::string_view text) {
  constexpr std::size_t kMaxDigits = 5;
  return text.size() <= kMaxDigits && text[0] != '0' && consists_of(text, is_digit) &&
         std::stol(std::string(text)) <= 65535;
}

/// The origin as browsers write it: in small letters and without the scheme's own port. Empty for
/// what is none.
std::string normalised(std::string_view origin) {
  constexpr std::string_view kAfterScheme = "://";
  const std::size_t end = origin.find(kAfterScheme);
  if (end == std::string_view::npos) return {};
  const std::string_view scheme = origin.substr(0, end);
  std::string_view host = origin.substr(end + kAfterScheme.size());
  std::string_view port;
  if (const std::size_t colon = host.rfind(':');
      colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
    if (port.empty() || !is_port(port)) return {};
  }
  if (!is_scheme(scheme) || !is_host(host)) return {};
  const bool is_default = (equal_ignoring_case(scheme, "http") && port == "80") ||
                          (equal_ignoring_case(scheme, "https") && port == "443");
  std::string result = base::cat(scheme, kAfterScheme, host);
  if (!port.empty() && !is_default) result += base::cat(":", port);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return result;
}

/// For a message: short, and without orders to a terminal.
std::string shown(std::string_view text) {
  constexpr std::size_t kMax = 100;
  std::string result(text.substr(0, kMax));
  for (char& c : result) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return text.size() > kMax ? result + "..." : result;
}

/// Names of header fields, separated by commas.
bool is_name_list(std::string_view text) {
  constexpr std::size_t kMax = 4096;
  return text.size() <= kMax && consists_of(text, [](char c) {
           constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
           return is_letter(c) || is_digit(c) || c == ',' || c == ' ' ||
                  kTokenMarks.find(c) != std::string_view::npos;
         });
}

}  // namespace

Cors::Cors(const std::vector<std::string>& allowed_origins) {
  for (const std::string& origin : allowed_origins) {
    if (origin == "*") {
      any_ = true;
      continue;
    }
    std::string known = normalised(origin);
    if (known.empty()) {
      base::fail_at(ErrorCode::kInvalidArgument, "allowed_origins",
                    "not an origin (expected scheme://host or scheme://host:port "
                    "without a path, or * for every page, got ",
                    origin.empty() ? "nothing" : shown(origin), ")");
    }
    origins_.push_back(std::move(known));
  }
}

bool Cors::allows(std::string_view origin) const noexcept {
  return any_ || std::any_of(origins_.begin(), origins_.end(), [&](const std::string& known) {
           return equal_ignoring_case(known, origin);
         });
}

void Cors::add_headers(const Headers& request, Headers& answer) const {
  if (!any_ && origins_.empty()) return;
  const std::string_view origin = request.find("Origin");
  if (any_) {
    answer.add("Access-Control-Allow-Origin", "*");
  } else {
    answer.add("Vary", "Origin");
    if (origin.empty() || !allows(origin)) return;
    answer.add("Access-Control-Allow-Origin", origin);
  }
  answer.add("Access-Control-Expose-Headers",
             "X-Request-Id, Retry-After, Retry-After-Ms, openllm-ignored-fields");
}

std::optional<HttpResponse> Cors::answer_preflight(const HttpRequest& request) const {
  const Headers& headers = request.headers;
  const std::string_view origin = headers.find("Origin");
  if (request.method != "OPTIONS" || origin.empty() ||
      !headers.contains("Access-Control-Request-Method") || !allows(origin)) {
    return std::nullopt;
  }
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers.add("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
  // Named one by one, because "*" does not stand for Authorization. Clients send many of their own.
  const std::string_view wanted = headers.find("Access-Control-Request-Headers");
  response.headers.add("Access-Control-Allow-Headers",
                       is_name_list(wanted) ? wanted : "Authorization, Content-Type");
  response.headers.add("Access-Control-Max-Age", "7200");  // the most that all browsers keep
  return response;
}

}  // namespace openllm::server

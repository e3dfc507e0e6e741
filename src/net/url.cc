#include "net/url.h"

#include <curl/curl.h>

#include <memory>

namespace openllm::net {
namespace {

using Handle = std::unique_ptr<CURLU, void (*)(CURLU*)>;

Handle parse(std::string_view text) {
  Handle url(curl_url(), [](CURLU* handle) { curl_url_cleanup(handle); });
  // Schemes that curl cannot fetch are read too: refusing them is for the caller.
  constexpr unsigned kFlags = CURLU_NON_SUPPORT_SCHEME;
  if (url != nullptr &&
      curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), kFlags) != CURLUE_OK)
    url.reset();
  return url;
}

/// The part; empty when the URL does not have it.
std::string part(const Handle& url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

/// curl takes "http:///path" for a URL whose host is "path".
bool has_empty_host(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return true;
  const std::size_t host = scheme + 3;
  return host >= text.size() || text.find_first_of("/?#", host) == host;
}

}  // namespace

std::string Url::origin() const {
  std::string text = scheme + "://";
  if (!user.empty() || !password.empty())
    text += password.empty() ? user + "@" : user + ":" + password + "@";
  text += host;
  return port.empty() ? text : text + ":" + port;
}

bool Url::is_loopback() const noexcept {
  return host == "localhost" || host == "[::1]" || host.rfind("127.", 0) == 0;
}

std::optional<Url> parse_url(std::string_view text) {
  // A C string ends at the first NUL: the rest would be ignored.
  if (has_empty_host(text) || text.find('\0') != std::string_view::npos) return std::nullopt;
  const Handle url = parse(text);
  if (url == nullptr) return std::nullopt;
  Url parts;
  parts.scheme = part(url, CURLUPART_SCHEME);
  parts.user = part(url, CURLUPART_USER);
  parts.password = part(url, CURLUPART_PASSWORD);
  parts.host = part(url, CURLUPART_HOST);
  parts.port = part(url, CURLUPART_PORT);
  parts.path = part(url, CURLUPART_PATH);
  parts.query = part(url, CURLUPART_QUERY);
  if (parts.scheme.empty() || parts.host.empty()) return std::nullopt;
  return parts;
}

std::string shown_url(std::string_view url) {
  const Handle parsed = parse(url);
  if (parsed != nullptr) {
    curl_url_set(parsed.get(), CURLUPART_USER, nullptr, 0);
    curl_url_set(parsed.get(), CURLUPART_PASSWORD, nullptr, 0);
    curl_url_set(parsed.get(), CURLUPART_OPTIONS, nullptr, 0);
    if (std::string text = part(parsed, CURLUPART_URL); !text.empty()) return text;
  }
  const std::size_t at = url.rfind('@');
  return std::string(url.substr(at == std::string_view::npos ? 0 : at + 1));
}

}  // namespace openllm::net

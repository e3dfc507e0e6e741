#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace openllm::net {

/// Parts of an absolute URL as curl reads them, percent-encoding left as it is.
struct Url {
  std::string scheme{};    ///< In lower case.
  std::string user{};      ///< Empty when there is none.
  std::string password{};  ///< Empty when there is none.
  std::string host{};      ///< An IPv6 address in brackets.
  std::string port{};      ///< Digits; empty when not given.
  std::string path{};      ///< "/" when not given.
  std::string query{};     ///< Without '?'.

  /// "scheme://user:password@host:port", without path and query.
  std::string origin() const;
  /// The host is this machine, by a loopback address or the name "localhost".
  bool is_loopback() const noexcept;
};

/// nullopt when `text` is not a URL with scheme and host.
std::optional<Url> parse_url(std::string_view text);

/// `url` as messages may show it: without user name and password. A text that is not a URL is
/// shown from its last '@' on.
std::string shown_url(std::string_view url);

}  // namespace openllm::net

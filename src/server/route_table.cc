#include "server/route_table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

bool is_prefix(const Route& route) { return route.path.size() > 1 && route.path.back() == '/'; }

bool matches(const Route& route, std::string_view path) {
  if (!is_prefix(route)) return path == route.path;
  return path.size() > route.path.size() && path.substr(0, route.path.size()) == route.path;
}

bool answers(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

/// Stands in a path as it is (RFC 3986). Paths are compared as they are written.
bool is_of_path(char c) {
  constexpr std::string_view kSpecial = "/-._~!$&'()*+,;=:@%";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kSpecial.find(c) != std::string_view::npos;
}

/// Both match the same path.
bool is_closer(const Route& route, const Route* than) {
  if (than == nullptr) return true;
  if (is_prefix(route) != is_prefix(*than)) return !is_prefix(route);
  return route.path.size() > than->path.size();
}

}  // namespace

void RouteTable::add(Route route) {
  const std::string name = route.method + " " + route.path;
  const auto require = [&](bool holds, std::string_view where, const char* what) {
    if (!holds) base::fail_with(ErrorCode::kInvalidArgument, {where}, "route ", name, ": ", what);
  };
  const auto is_method_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  require(!route.method.empty() &&
              std::all_of(route.method.begin(), route.method.end(), is_method_letter),
          "method", "bad method (expected capital letters)");
  require(route.method != "OPTIONS" && route.method != "HEAD", "method",
          "is answered by the server itself");
  require(!route.path.empty() && route.path.front() == '/', "path",
          "bad path (expected a leading slash)");
  require(route.path.find_first_of("?#") == std::string::npos, "path",
          "bad path (expected no query and no fragment)");
  require(std::all_of(route.path.begin(), route.path.end(), is_of_path), "path",
          "bad path (expected the characters of addresses; what changes from call to call stands "
          "below a path that ends in a slash, or in the query)");
  require(static_cast<bool>(route.endpoint), "endpoint", "has no endpoint");
  require(route.dialect != nullptr, "dialect", "has no dialect");
  for (const Route& other : routes_)
    require(other.method != route.method || other.path != route.path, "path", "exists already");
  routes_.push_back(std::move(route));
}

void RouteTable::add_missing(const RouteTable& others) {
  for (const Route& other : others.routes_) {
    const bool is_there = std::any_of(routes_.begin(), routes_.end(), [&](const Route& route) {
      return route.method == other.method && route.path == other.path;
    });
    if (!is_there) add(other);
  }
}

RouteTable::Match RouteTable::find(std::string_view method, std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    if (!matches(route, path)) continue;
    if (is_closer(route, match.any)) match.any = &route;
    if (answers(route, method) && is_closer(route, match.route)) match.route = &route;
  }
  return match;
}

std::string RouteTable::allowed_methods(std::string_view path) const {
  std::string methods;
  for (const Route& route : routes_) {
    if (!matches(route, path)) continue;
    const std::string method = route.method == "GET" ? "GET, HEAD, " : route.method + ", ";
    if (methods.find(method) == std::string::npos) methods += method;
  }
  return methods.empty() ? methods : methods + "OPTIONS";
}

bool RouteTable::needs_key(std::string_view method, std::string_view path) const {
  const Match match = find(method, path);
  if (match.route != nullptr) return match.route->needs_key;
  return match.any == nullptr || match.any->needs_key;
}

std::string RouteTable::hint(std::string_view path) const {
  const std::string meant = base::cat("/v1", path);
  const Match match = find("", meant);
  return match.any == nullptr ? "" : "; did you mean " + match.any->path + "?";
}

}  // namespace openllm::server

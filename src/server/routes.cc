#include "server/routes.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "server/error_map.h"
#include "server/generation.h"

namespace openllm::server {
namespace {

struct Route {
  std::string_view method{};  ///< GET routes answer HEAD too.
  std::string_view path{};    ///< With a slash at the end: everything below it.
  Endpoint endpoint = nullptr;
  bool needs_key = true;
};

constexpr std::array<Route, 11> kRoutes{{
    {"POST", "/v1/chat/completions", chat_completions},
    {"POST", "/v1/completions", completions},
    {"GET", "/v1/models", list_models},
    {"GET", "/v1/models/", show_model},
    {"GET", "/healthz", healthz, false},
    {"GET", "/livez", healthz, false},
    {"GET", "/readyz", readyz, false},
    {"GET", "/health", readyz, false},
    {"GET", "/v1/health", readyz, false},
    {"GET", "/metrics", show_metrics},
    {"GET", "/version", show_version},
}};

bool matches(const Route& route, std::string_view path) {
  if (route.path.back() != '/') return path == route.path;
  return path.size() > route.path.size() && path.substr(0, route.path.size()) == route.path;
}

/// The end of the message that there is no such route. Base addresses are often given without /v1.
std::string hint(const std::string& path) {
  const std::string meant = "/v1" + path;
  for (const Route& route : kRoutes) {
    if (matches(route, meant)) return "; did you mean " + std::string(route.path) + "?";
  }
  return {};
}

/// All methods of the path, for Allow.
std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const Route& route : kRoutes) {
    if (!matches(route, path)) continue;
    methods += route.method == "GET" ? "GET, HEAD, " : std::string(route.method) + ", ";
  }
  return methods.empty() ? methods : methods + "OPTIONS";
}

/// Paths are quoted in messages; long ones would drown them.
std::string shown(const std::string& path) {
  constexpr std::size_t kMax = 100;
  return path.size() <= kMax ? path : path.substr(0, kMax) + "...";
}

/// Browsers may send forms and plain text anywhere without asking; with an Origin such a body is
/// refused, so that no web page can use a local server that does not allow its origin. Other
/// clients often forget the header: for them any type will do.
void check_content_type(const HttpRequest& request) {
  if (const std::string_view encoding = request.headers.find("Content-Encoding");
      !encoding.empty() && !equal_ignoring_case(encoding, "identity")) {
    base::fail(ErrorCode::kUnsupported, "Content-Encoding: unsupported (expected identity, got ",
               encoding, ")");
  }
  const std::string type = media_type(request.headers.find("Content-Type"));
  const bool is_json =
      type == "application/json" || (type.size() > 5 && type.substr(type.size() - 5) == "+json");
  const bool is_binary = type.substr(0, 10) == "multipart/";
  if (!is_json && (is_binary || request.headers.contains("Origin"))) {
    base::fail(ErrorCode::kUnsupported,
               "Content-Type: unsupported (expected application/json, got ",
               type.empty() ? "none" : type, ")");
  }
}

struct Target {
  const Route* route = nullptr;
  std::string_view label = "other";  ///< For the metrics.
};

std::string routed_path(const HttpRequest& request) {
  std::string path = percent_decode(request.path).value_or(request.path);
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// Answers what needs no endpoint; returns the route of what does.
Target find_target(const App& app, Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::string path = routed_path(request);
  Target target;
  bool is_known = false;
  for (const Route& route : kRoutes) {
    if (!matches(route, path)) continue;
    is_known = true;
    target.label = route.path;
    if (request.method == route.method || (request.method == "HEAD" && route.method == "GET"))
      target.route = &route;
  }
  // Browsers ask without the key that the request itself will have.
  if (auto answer = app.cors().answer_preflight(request)) {
    target.route = nullptr;
    exchange.respond(std::move(*answer));
    return target;
  }
  if (const std::string_view refusal = missing_key(app, request); !refusal.empty()) {
    target.route = nullptr;
    exchange.respond(error_response(401, refusal));
    return target;
  }
  if (target.route != nullptr) return target;
  if (request.method == "OPTIONS" && (is_known || path == "*")) {
    HttpResponse response;
    response.status = 204;
    response.content_type.clear();
    response.headers.add("Allow", is_known ? allowed_methods(path) : "GET, HEAD, POST, OPTIONS");
    exchange.respond(std::move(response));
  } else if (is_known) {
    HttpResponse response =
        error_response(405, base::cat("method: ", request.method, " is not allowed here (expected ",
                                      allowed_methods(path), ")"));
    response.headers.add("Allow", allowed_methods(path));
    exchange.respond(std::move(response));
  } else {
    exchange.respond(error_response(
        404,
        base::cat("path: no such route (got ", request.method, " ", shown(path), ")", hint(path)),
        "", "not_found"));
  }
  return target;
}

Flow run_endpoint(App& app, std::shared_ptr<Exchange> exchange) {
  Target target;
  try {
    app.cors().add_headers(exchange->request().headers, exchange->common_headers());
    target = find_target(app, *exchange);
    if (target.route != nullptr) {
      bool is_acceptable = true;
      if (target.route->method == "POST") {
        try {
          check_content_type(exchange->request());
        } catch (const Error& error) {
          exchange->respond(error_response(415, error.what()));
          is_acceptable = false;
        }
      }
      if (is_acceptable) {
        Task<Nothing> task = target.route->endpoint(app, *exchange);
        co_await std::move(task);
      }
    }
    if (!exchange->has_answer())
      base::fail(ErrorCode::kInternal, "server: the endpoint gave no answer");
  } catch (const std::exception& error) {
    send_error(*exchange, error);
  }
  const bool is_client_gone = exchange->cancelled() == Exchange::Cancel::kClientGone;
  constexpr int kClientGone = 499;  // as nginx counts them; nobody sees an answer
  const int status = is_client_gone         ? kClientGone
                     : exchange->response() ? exchange->response()->status
                                            : 200;
  ++app.metrics.http_requests[{std::string(target.label), status}];
  if (is_client_gone) ++app.metrics.n_disconnects;
  exchange->finish();
}

}  // namespace

std::string_view missing_key(const App& app, const HttpRequest& head) {
  const std::string path = routed_path(head);
  const bool is_open = std::any_of(kRoutes.begin(), kRoutes.end(), [&](const Route& route) {
    return !route.needs_key && matches(route, path);
  });
  if (is_open || app.is_authorized(head.headers.find("Authorization"))) return {};
  return "Authorization: missing or wrong API key (expected Bearer <key>)";
}

void dispatch(App& app, std::shared_ptr<Exchange> exchange) {
  run_endpoint(app, std::move(exchange));
}

}  // namespace openllm::server

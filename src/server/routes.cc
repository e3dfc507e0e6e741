#include "server/routes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "server/dialect.h"
#include "server/http/detached_task.h"

namespace openllm::server {
namespace {

/// Paths are quoted in messages; long ones would drown them.
std::string shown(const std::string& path) {
  constexpr std::size_t kMax = 100;
  return path.size() <= kMax ? path : path.substr(0, kMax) + "...";
}

/// Browsers may send forms and plain text anywhere without a preflight; with an Origin such a body
/// is refused, so that no web page can use a local server that does not allow its origin. Other
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

/// Why no route can have such a path; empty if one could.
std::string_view path_problem(const HttpRequest& request) {
  const std::optional<std::string> path = percent_decode(request.path);
  if (!path) return "has a % without two hexadecimal digits";
  if (!base::is_valid_utf8(*path)) return "is not UTF-8";
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; };
  return std::any_of(path->begin(), path->end(), is_control) ? "has control characters" : "";
}

/// Answers a request whose path has no route for its method.
void answer_unroutable(const App& app, Exchange& exchange, const std::string& path,
                       const Dialect& dialect) {
  const std::string& method = exchange.request().method;
  const std::string allowed = app.routes().allowed_methods(path);
  if (method == "OPTIONS" && (!allowed.empty() || path == "*")) {
    HttpResponse response;
    response.status = 204;
    response.content_type.clear();
    response.headers.add("Allow", allowed.empty() ? "GET, HEAD, POST, OPTIONS" : allowed);
    exchange.respond(std::move(response));
  } else if (!allowed.empty()) {
    HttpResponse response = error_response(
        dialect, error_report(405, base::cat("method: ", method, " is not allowed here (expected ",
                                             allowed, ")")));
    response.headers.add("Allow", allowed);
    exchange.respond(std::move(response));
  } else {
    const std::string message = base::cat("path: no such route (got ", method, " ", shown(path),
                                          ")", app.routes().hint(path));
    exchange.respond(error_response(dialect, error_report(404, message, "", "not_found")));
  }
}

/// Where a request goes.
struct Target {
  const Route* route = nullptr;  ///< Null: it has its answer.
  const Dialect* dialect = &kOpenAiDialect;
  std::string label = "other";  ///< For the metrics.
};

/// Answers requests that need no endpoint; returns the route of the others.
Target find_target(const App& app, Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::string path = routed_path(request);
  const RouteTable::Match match = app.routes().find(request.method, path);
  Target target;
  if (match.any != nullptr) {
    target.dialect = match.any->dialect;
    target.label = match.any->path;
  }
  // Browsers ask without the key that the request itself will have.
  if (auto answer = app.cors().answer_preflight(request)) {
    exchange.respond(std::move(*answer));
  } else if (const std::string_view refusal = missing_key(app, request); !refusal.empty()) {
    exchange.respond(error_response(*target.dialect, error_report(401, refusal)));
  } else if (const std::string_view problem = path_problem(request); !problem.empty()) {
    const std::string message = base::cat("path: ", problem, " (got ", shown(request.path), ")");
    exchange.respond(error_response(*target.dialect, error_report(400, message)));
  } else if (match.route == nullptr) {
    answer_unroutable(app, exchange, path, *target.dialect);
  } else {
    target = {match.route, match.route->dialect, match.route->path};
  }
  return target;
}

/// False if it has answered that the body cannot be read.
bool accept_content(Exchange& exchange, const Route& route) {
  if (route.method != "POST") return true;
  try {
    check_content_type(exchange.request());
    return true;
  } catch (const Error& error) {
    exchange.respond(error_response(*route.dialect, error_report(415, error.what())));
    return false;
  }
}

void count_answer(Metrics& metrics, const Exchange& exchange, const std::string& route) {
  const bool is_client_gone = exchange.cancelled() == Exchange::Cancel::kClientGone;
  constexpr int kClientGone = 499;  // as nginx counts them; nobody sees an answer
  const int status = is_client_gone        ? kClientGone
                     : exchange.response() ? exchange.response()->status
                                           : 200;
  ++metrics.http_requests[{route, status}];
  if (is_client_gone) ++metrics.n_disconnects;
}

DetachedTask run_endpoint(App& app, std::shared_ptr<Exchange> exchange) {
  Target target;
  try {
    app.cors().add_headers(exchange->request().headers, exchange->common_headers());
    target = find_target(app, *exchange);
    if (target.route != nullptr && accept_content(*exchange, *target.route)) {
      Call call{app, *exchange, *target.dialect};
      Task<void> task = target.route->endpoint(call);
      co_await std::move(task);
    }
    if (!exchange->has_answer())
      base::fail(ErrorCode::kInternal, "server: the endpoint gave no answer");
  } catch (const std::exception& error) {
    send_error(*exchange, *target.dialect, error_report(error));
  } catch (...) {
    const ErrorReport report = error_report(500, "server: the endpoint threw no std::exception");
    send_error(*exchange, *target.dialect, report);
  }
  count_answer(app.metrics, *exchange, target.label);
  exchange->finish();
}

}  // namespace

std::string routed_path(const HttpRequest& request) {
  std::string path = percent_decode(request.path).value_or(request.path);
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string_view missing_key(const App& app, const HttpRequest& head) {
  if (!app.routes().needs_key(head.method, routed_path(head)) || app.is_authorized(head.headers)) {
    return {};
  }
  return "Authorization: missing or wrong API key (expected Bearer <key>, or X-Api-Key: <key>)";
}

void dispatch(App& app, std::shared_ptr<Exchange> exchange) {
  run_endpoint(app, std::move(exchange));
}

}  // namespace openllm::server

#include "server/routes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "server/dialect.h"
#include "server/generation.h"
#include "server/http/detached_task.h"

namespace openllm::server {
namespace {

/// Paths are quoted in messages; long ones would drown them.
std::string shown(const std::string& path) {
  constexpr std::size_t kMax = 100;
  return path.size() <= kMax ? path : path.substr(0, kMax) + "...";
}

/// Why the body cannot be read; empty if it can. Browsers may send forms and plain text anywhere
/// without a preflight; with an Origin such a body is refused, so that no web page can use a local
/// server that does not allow its origin. Other clients often forget the header: for them any type
/// will do.
std::string content_problem(const App& app, const HttpRequest& request, const Route& route) {
  if (route.method == "GET") return {};
  if (const std::string_view encoding = request.headers.find("Content-Encoding");
      !encoding.empty() && !equal_ignoring_case(encoding, "identity")) {
    return base::cat("Content-Encoding: unsupported (expected identity, got ", encoding, ")");
  }
  const std::string type = media_type(request.headers.find("Content-Type"));
  const bool is_json =
      type == "application/json" || (type.size() > 5 && type.substr(type.size() - 5) == "+json");
  const bool is_binary = type.substr(0, 10) == "multipart/";
  const bool is_text = route.content == Route::Content::kText;
  const std::string_view origin = request.headers.find("Origin");
  const bool is_trusted = origin.empty() || (is_text && app.cors().allows(origin));
  if (!is_json && (is_binary || !is_trusted)) {
    return base::cat("Content-Type: unsupported (expected ",
                     is_text ? "text/plain of an allowed origin" : "application/json", ", got ",
                     type.empty() ? "none" : type, ")");
  }
  return {};
}

/// Why no route can have such a path; empty if one could.
std::string_view path_problem(const HttpRequest& request) {
  const std::optional<std::string> path = percent_decode(request.path);
  if (!path) return "has a % without two hexadecimal digits";
  if (!base::is_valid_utf8(*path)) return "is not UTF-8";
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; };
  return std::any_of(path->begin(), path->end(), is_control) ? "has control characters" : "";
}

/// "; X is in its place" for a route that OpenLLM had and this server has not.
std::string successor_of(std::string_view path) {
  constexpr std::pair<std::string_view, std::string_view> kSuccessors[] = {
      {"/hf/agent", "/v1/generate"},           {"/hf/schema", "/v1/schema"},
      {"/cohere/v1/generate", "/v1/generate"}, {"/cohere/v1/chat", "/v1/chat/completions"},
      {"/cohere/schema", "/v1/schema"},
  };
  for (const auto& [old_path, new_path] : kSuccessors)
    if (path == old_path) return base::cat("; ", new_path, " is in its place");
  return {};
}

/// The answer to a request whose path has no route for its method.
HttpResponse answer_unroutable(const App& app, const HttpRequest& request, const std::string& path,
                               const Dialect& dialect) {
  const std::string& method = request.method;
  const std::string allowed = app.routes().allowed_methods(path);
  if (method == "OPTIONS" && (!allowed.empty() || path == "*")) {
    HttpResponse response;
    response.status = 204;
    response.content_type.clear();
    response.headers.add("Allow", allowed.empty() ? "GET, HEAD, POST, OPTIONS" : allowed);
    return response;
  }
  if (!allowed.empty()) {
    HttpResponse response = error_response(
        dialect, error_report(405, base::cat("method: ", method, " is not allowed here (expected ",
                                             allowed, ")")));
    response.headers.add("Allow", allowed);
    return response;
  }
  const std::string message = base::cat("path: no such route (got ", method, " ", shown(path), ")",
                                        app.routes().hint(path), successor_of(path));
  return error_response(dialect, error_report(404, message, "", "not_found"));
}

/// Why the request is unauthorized; empty if it is authorized.
std::string_view missing_key(const App& app, const HttpRequest& head) {
  if (!app.routes().needs_key(head.method, routed_path(head)) || app.is_authorized(head.headers)) {
    return {};
  }
  return "Authorization: missing or wrong API key (expected Bearer <key>, or X-Api-Key: <key>)";
}

/// Where a request goes.
struct Target {
  const Route* route = nullptr;
  const Dialect* dialect = &kOpenAiDialect;
  std::string label = "other";           ///< For the metrics.
  std::optional<HttpResponse> answer{};  ///< Of those that need no endpoint.
};

/// Judges by the head alone.
Target find_target(const App& app, const HttpRequest& request) {
  const std::string path = routed_path(request);
  const RouteTable::Match match = app.routes().find(request.method, path);
  Target target;
  if (match.any != nullptr) {
    target.dialect = match.any->dialect;
    target.label = match.any->path;
  }
  const auto refuse = [&target](int status, std::string_view message) {
    target.answer = error_response(*target.dialect, error_report(status, message));
  };
  // Browsers ask without the key that the request itself will have.
  if (auto answer = app.cors().answer_preflight(request)) {
    target.answer = std::move(answer);
  } else if (const std::string_view refusal = missing_key(app, request); !refusal.empty()) {
    refuse(401, refusal);
  } else if (const std::string_view problem = path_problem(request); !problem.empty()) {
    refuse(400, base::cat("path: ", problem, " (got ", shown(request.path), ")"));
  } else if (match.route == nullptr) {
    target.answer = answer_unroutable(app, request, path, *target.dialect);
  } else {
    target = {match.route, match.route->dialect, match.route->path, {}};
    if (const std::string what = content_problem(app, request, *match.route); !what.empty())
      refuse(415, what);
  }
  return target;
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
    target = find_target(app, exchange->request());
    if (target.answer) {
      exchange->respond(std::move(*target.answer));
    } else {
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

std::optional<HttpResponse> refuse_head(App& app, const HttpRequest& head) {
  Target target = find_target(app, head);
  if (!target.answer && target.route->asks_model) {
    if (const std::optional<Error> busy = refuse_unread(app, head))
      target.answer = error_response(*target.dialect, error_report(*busy));
  }
  if (!target.answer) return std::nullopt;
  app.cors().add_headers(head.headers, target.answer->headers);
  ++app.metrics.http_requests[{target.label, target.answer->status}];
  return std::move(target.answer);
}

void dispatch(App& app, std::shared_ptr<Exchange> exchange) {
  run_endpoint(app, std::move(exchange));
}

}  // namespace openllm::server

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "openllm/task.h"
#include "server/app.h"
#include "server/http/exchange.h"
#include "server/route_table.h"

namespace openllm::server {

/// One request on its way through its route.
struct Call {
  App& app;
  Exchange& exchange;
  const Dialect& dialect;
};

/// Finds the endpoint of a request, runs it, and answers for it when it fails. `app` must outlive
/// the exchange.
void dispatch(App& app, std::shared_ptr<Exchange> exchange);

/// The path as routes have it: decoded, without a slash at the end.
std::string routed_path(const HttpRequest& request);

/// Why the request is unauthorized; empty if it is authorized.
std::string_view missing_key(const App& app, const HttpRequest& head);

/// The routes that every server has: built_in_routes.cc.
RouteTable built_in_routes();

}  // namespace openllm::server

#pragma once

#include <memory>
#include <optional>
#include <string>

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

/// The answer to a request that the head alone decides: key, path, method, type of the content, or
/// a model that has too much to do. nullopt: the body has to be read.
std::optional<HttpResponse> refuse_head(App& app, const HttpRequest& head);

/// The routes that every server has: health, metrics and the version, and those that ask models
/// unless they are not wanted (built_in_routes.cc).
RouteTable built_in_routes(bool with_models = true);

}  // namespace openllm::server

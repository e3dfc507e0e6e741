#pragma once

#include <memory>
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

/// Why the request is unauthorized; empty if it is authorized.
std::string_view missing_key(const App& app, const HttpRequest& head);

/// The routes that every server has.
RouteTable built_in_routes();

// The endpoints, one file each in endpoints/.
Task<void> completions(Call& call);
Task<void> chat_completions(Call& call);
Task<void> generate(Call& call);
Task<void> generate_stream(Call& call);
Task<void> list_models(Call& call);
Task<void> show_model(Call& call);
Task<void> healthz(Call& call);
Task<void> readyz(Call& call);
Task<void> show_metrics(Call& call);
Task<void> show_version(Call& call);

}  // namespace openllm::server

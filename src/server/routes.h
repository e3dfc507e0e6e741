#pragma once

#include <memory>
#include <string_view>

#include "openllm/task.h"
#include "server/app.h"
#include "server/http/exchange.h"
#include "server/http/flow.h"

namespace openllm::server {

/// Answers one request with `Exchange::respond` or `send_event`; may throw instead. Runs on the I/O
/// thread.
using Endpoint = Task<Nothing> (*)(App& app, Exchange& exchange);

/// Finds the endpoint of a request, runs it, and answers for it when it fails. `app` must outlive
/// the exchange.
void dispatch(App& app, std::shared_ptr<Exchange> exchange);

/// What a request is refused for that has not the key that its route wants; empty: nothing.
std::string_view missing_key(const App& app, const HttpRequest& head);

// The endpoints, one file each in endpoints/.
Task<Nothing> completions(App& app, Exchange& exchange);
Task<Nothing> chat_completions(App& app, Exchange& exchange);
Task<Nothing> list_models(App& app, Exchange& exchange);
Task<Nothing> show_model(App& app, Exchange& exchange);
Task<Nothing> healthz(App& app, Exchange& exchange);
Task<Nothing> readyz(App& app, Exchange& exchange);
Task<Nothing> show_metrics(App& app, Exchange& exchange);
Task<Nothing> show_version(App& app, Exchange& exchange);

}  // namespace openllm::server

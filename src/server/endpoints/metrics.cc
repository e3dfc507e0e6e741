#include "server/metrics.h"

#include <utility>

#include "server/routes.h"

namespace openllm::server {

Task<Nothing> show_metrics(App& app, Exchange& exchange) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  const bool is_ready = app.readiness().state == Readiness::State::kReady;
  response.body = to_prometheus(app.metrics, app.transport_stats(), app.llm().stats(), is_ready);
  exchange.respond(std::move(response));
  co_return Nothing{};
}

}  // namespace openllm::server
